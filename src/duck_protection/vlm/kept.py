"""What has been computed and may be needed again: the words before a picture, and the last few pictures.

Answers: have these very pixels been looked at lately, and what came of it? Promise: two frames are the same only when
every pixel is; a frame that its owner may still change is copied; memory is bounded.
"""
from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Sequence, Tuple

import numpy as np
from torch import Tensor

PREFIXES = 8
COARSE = 37  # pixels between those that are compared first: two camera pictures differ there already


class KeptPictures:
    """Keys and values up to a picture's end, of the last few pictures."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: Deque[Tuple[np.ndarray, Tensor]] = deque(maxlen=most)

    def of(self, frame: np.ndarray) -> Optional[Tensor]:
        """This picture's, (layers, 2, 1, kv heads, tokens, head width); None when it is not kept."""
        return next((one for other, one in reversed(self._kept) if same(other, frame)), None)

    def keep(self, frames: Sequence[np.ndarray], kept: Tensor) -> List[Tensor]:
        """Remembers the last of them, and gives each one's (copies: a graph's next replay overwrites its own)."""
        own = [kept[:, :, row : row + 1].clone() for row in range(len(frames))]
        last = list(zip(frames, own))[-self._most :]
        self._kept.extend((frame.copy() if frame.flags.writeable else frame, one) for frame, one in last)
        return own


class KeptPrefixes:
    """Keys and values of the words before a picture, by their tokens."""

    def __init__(self, compute: Callable[[Sequence[int]], Tensor]) -> None:
        self._compute = compute
        self._kept: Dict[Tuple[int, ...], Tensor] = {}

    def of(self, ids: Sequence[int]) -> Tensor:
        """Computed once, as long as not too many others come between."""
        key = tuple(ids)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= PREFIXES:
                self._kept.clear()
            kept = self._kept[key] = self._compute(ids)
        return kept


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures are equal in every pixel; different ones are told apart quickly."""
    if one is other:
        return True
    if one.shape != other.shape or not np.array_equal(one[::COARSE, ::COARSE], other[::COARSE, ::COARSE]):
        return False
    return np.array_equal(one, other)
