"""Keys and values of several answers at once, one row (a slot) each, so that their next tokens come from one pass.

Answers transformers' attention layers (update) and the engine (rows, lengths). Promise: a slot never sees another
slot's keys, whatever their lengths; memory is taken once, at start.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

import torch
from transformers import PretrainedConfig


class SlotCache:
    """Fixed memory: 2 x layers x slots x heads x context x head width numbers.

    Args:
        config: The text model's.
        slots: How many answers can be in the making.
        context_tokens: The longest chat, answer included.
    """

    def __init__(
        self, config: PretrainedConfig, slots: int, context_tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (slots, config.num_key_value_heads, context_tokens, width)
        layers = range(config.num_hidden_layers)
        self._keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self._values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self._lengths = [0] * slots
        self._device = device
        self._rows: List[int] = []
        self._added = 0
        self.is_compileable = False

    def length(self, slot: int) -> int:
        """Tokens held in this slot."""
        return self._lengths[slot]

    def clear(self, slot: int) -> None:
        """The slot as if new."""
        self._lengths[slot] = 0

    def open(self, rows: Sequence[int], added: int) -> Tuple[torch.Tensor, torch.Tensor]:
        """For the next pass over these slots with `added` new tokens each: positions, and who may see what.

        Returns:
            int64 (rows, added), and an additive mask (rows, 1, added, longest): 0 where attention is allowed.
        """
        self._rows, self._added = list(rows), added
        starts = torch.tensor([self._lengths[row] for row in rows], device=self._device)
        positions = starts[:, None] + torch.arange(added, device=self._device)
        seen = torch.arange(int(max(self._lengths[row] for row in rows)) + added, device=self._device)
        hidden = (seen[None, None, :] > positions[:, :, None])[:, None]
        mask = torch.zeros(hidden.shape, dtype=self._keys[0].dtype, device=self._device)
        return positions, mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)

    def close(self, counts: Sequence[int] = ()) -> None:
        """The pass is done: its tokens count, or so many of each row's where rows were filled up at the end. What was
        filled up is written over by what comes next, and nothing sees it before."""
        for row, count in zip(self._rows, counts or [self._added] * len(self._rows)):
            self._lengths[row] += count

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """For transformers, which asks before it makes a mask of its own; ours is given, so the answer is unused."""
        return max((self._lengths[row] for row in self._rows), default=layer_idx * 0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Puts the new keys and values at the end of each slot and returns all of them, as attention wants them."""
        longest = self.get_seq_length() + self._added
        out = []
        for memory, states in ((self._keys[layer_idx], key_states), (self._values[layer_idx], value_states)):
            for number, row in enumerate(self._rows):
                begin = self._lengths[row]
                memory[row, :, begin : begin + self._added] = states[number]
            one = len(self._rows) == 1  # a view; several rows are copied together
            out.append(memory[self._rows[0], :, :longest][None] if one else memory[self._rows, :, :longest])
        return out[0], out[1]
