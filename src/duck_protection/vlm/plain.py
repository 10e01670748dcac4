"""FastVLM as transformers computes it, without any shortcut: what every shortcut is measured against.

Answers: the logits of the first answer token, and the tokens of a free answer. Promise: only transformers' own forward
passes; shorter prompts of a batch are filled up at the end, where causal attention keeps that from mattering.
"""
from __future__ import annotations

from typing import Any, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from duck_protection.vlm import pixels
from duck_protection.vlm.prompts import Asked


class PlainPath:
    """One model, wherever it lies.

    Args:
        filling: A token to fill up with.
    """

    def __init__(self, model: Any, side_px: int, filling: int) -> None:
        self._model, self._side_px, self._filling = model, side_px, filling

    @torch.inference_mode()
    def see(self, frames: Sequence[np.ndarray]) -> Tensor:
        """The pictures as embeddings, shape (batch, tokens of a picture, width)."""
        squares = torch.stack([pixels.with_pillow(frame, self._side_px) for frame in frames])
        looked_at = squares.to(self._model.device).to(self._model.dtype).div_(255)
        seen: Tensor = self._model.get_image_features(looked_at).pooler_output
        return seen

    @torch.inference_mode()
    def embed(self, frames: Sequence[np.ndarray], asked: Sequence[Asked]) -> Tensor:
        """Text and picture embeddings, shape (batch, longest row, width)."""
        seen = self.see(frames)
        rows = [[*one.before, *[self._filling] * seen.shape[1], *one.after] for one in asked]
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self._filling] * (longest - len(row))] for row in rows])
        embedded: Tensor = self._model.get_input_embeddings()(ids.to(self._model.device))
        for row, one in enumerate(asked):
            at = len(one.before)
            embedded[row, at : at + seen.shape[1]] = seen[row].to(embedded.dtype)
        return embedded

    @torch.inference_mode()
    def logits(self, frames: Sequence[np.ndarray], asked: Sequence[Asked]) -> Tuple[Tensor, Tensor]:
        """States and float32 logits after each prompt's last token, (batch, width) and (batch, vocabulary)."""
        embedded = self.embed(frames, asked)
        hidden = self._model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        filled = [max(len(other.before) + len(other.after) for other in asked) - len(one.before) - len(one.after)
                  for one in asked]  # fmt: skip
        states = hidden[range(len(asked)), [hidden.shape[1] - 1 - more for more in filled]]
        return states, self._model.lm_head(states).float()

    @torch.inference_mode()
    def next_token(self, embedded: Tensor, cache: Any) -> Tuple[int, Tensor]:
        """The likeliest next token after these embeddings, and its own embedding."""
        hidden = self._model.model.language_model(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
        best = self._model.lm_head(hidden.last_hidden_state[:, -1]).float().argmax(-1)
        return int(best), self._model.get_input_embeddings()(best[:, None])
