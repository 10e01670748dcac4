"""The two steps of a verdict as functions of tensors with fixed shapes: look and read, or read about a kept picture.

Answers: from pixels and tokens to the last token's state and logits, what is computed? Nothing here depends on values,
waits for the device or touches the CPU, so that each step can be recorded as a graph; the tests trace it to prove that.
"""
from __future__ import annotations

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from duck_protection.vlm.folding import fold
from duck_protection.vlm.optimisations import Optimisations
from duck_protection.vlm.prefill import Prefill


class Steps:
    """FastVLM's parts in the order of a verdict.

    Args:
        model: transformers' FastVlmForConditionalGeneration; its tower is folded and laid out anew in place.
    """

    def __init__(self, model: Any, chosen: Optimisations) -> None:
        self._tower = model.model.vision_tower.timm_model
        self._projector, self._embedding = model.model.multi_modal_projector, model.get_input_embeddings()
        self._head, self._keep = model.lm_head, chosen.image_kept
        self.dtype = self._embedding.weight.dtype
        self._format = torch.channels_last if chosen.channels_last else torch.contiguous_format
        if chosen.folded:
            fold(self._tower)
        self._tower.to(memory_format=self._format)
        self._prefill = Prefill(model.model.language_model, fused=chosen.fused)

    def see(self, squares: Tensor) -> Tensor:
        """Pictures as embeddings: uint8 (batch, 3, side, side) to (batch, tokens of a picture, width)."""
        pixels = squares.to(self.dtype).div_(255).contiguous(memory_format=self._format)
        features = self._tower.forward_features(pixels)
        seen: Tensor = self._projector(features.flatten(2).transpose(1, 2))
        return seen

    def look(self, squares: Tensor, head: Tensor, tail: Tensor, last: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Everything from the first token, (batch, head) before the picture and (batch, tail) after it.

        Args:
            last: Which of the tail's tokens is each row's last, int64, (batch,).

        Returns:
            States (batch, width), logits (batch, vocabulary), and keys and values up to the picture's end.
        """
        seen = self.see(squares)
        read = torch.cat([self._embedding(head), seen, self._embedding(tail)], 1)
        before = head.shape[1] + seen.shape[1]
        return self._read(read, last + before, None, before if self._keep else 0)

    def look_after(self, squares: Tensor, kept: Tensor, tail: Tensor, last: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The same where keys and values of the words before the picture are known, (layers, 2, 1, ..)."""
        seen = self.see(squares)
        read = torch.cat([seen, self._embedding(tail)], 1)
        keep = kept.shape[-2] + seen.shape[1] if self._keep else 0
        return self._read(read, last + seen.shape[1], kept, keep)

    def again(self, kept: Tensor, tail: Tensor, last: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Another question about pictures whose keys and values are known, (layers, 2, batch, ..)."""
        return self._read(self._embedding(tail), last, kept, 0)

    def prefix(self, ids: Tensor) -> Tensor:
        """Keys and values of words that stand before any picture, (layers, 2, 1, kv heads, tokens, head width)."""
        last = torch.zeros(1, dtype=torch.long, device=ids.device)
        return self._prefill(self._embedding(ids), last, None, ids.shape[1])[1]

    def _read(
        self, embedded: Tensor, last: Tensor, before: Optional[Tensor], keep: int
    ) -> Tuple[Tensor, Tensor, Tensor]:
        state, kept = self._prefill(embedded, last, before, keep)
        return state, self._head(state).float(), kept
