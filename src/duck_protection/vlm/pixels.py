"""From camera frames to the square picture that FastVLM looks at.

Answers: which numbers does the vision tower see? Promise: the whole frame is in them (padded with black to a square,
never cropped), bicubic as Apple's code does it with Pillow; on a GPU the same numbers to within one of 255 levels.
"""
from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from duck_protection.frames import pad_to_square


def with_pillow(frame: np.ndarray, side_px: int) -> Tensor:
    """The padded frame at the model's size, uint8, shape (3, side_px, side_px)."""
    if frame.shape == (side_px, side_px, 3) and frame.flags.writeable:  # prepared before
        return torch.from_numpy(frame).permute(2, 0, 1)
    square = Image.fromarray(pad_to_square(frame)).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def resized(frame: Tensor, side_px: int) -> Tensor:
    """The same from a frame on any device, uint8, shape (height, width, 3). Pillow rounds between its two passes."""
    height, width, _ = frame.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = torch.zeros((1, 3, side, side), device=frame.device)
    square[0, :, top : top + height, left : left + width] = frame.permute(2, 0, 1)
    for size in ((side, side_px), (side_px, side_px)):
        square = F.interpolate(square, size, mode="bicubic", antialias=True, align_corners=False)
        square = square.round_().clamp_(0, 255)
    return square[0].to(torch.uint8)


class Uploader:
    """Frames to squares on the model's device. Buffers are pinned and kept, one for each place in a batch: they may be
    written again once a blocking copy to the same device has followed, which FastPath makes of every batch's tokens."""

    def __init__(self, side_px: int, device: torch.device) -> None:
        self._side_px, self._device = side_px, device
        self._buffers: Dict[Tuple[int, Tuple[int, ...]], Tensor] = {}

    def __call__(self, frames: Sequence[np.ndarray]) -> Tensor:
        """uint8, shape (batch, 3, side_px, side_px)."""
        squares: List[Tensor] = []
        for place, frame in enumerate(frames):
            buffer = self._buffer(place, frame.shape)
            np.copyto(buffer.numpy(), frame)
            squares.append(resized(buffer.to(self._device, non_blocking=True), self._side_px))
        return torch.stack(squares)

    def _buffer(self, place: int, shape: Tuple[int, ...]) -> Tensor:
        if (place, shape) not in self._buffers:
            if len(self._buffers) > 64:  # cameras of many sizes: start again
                self._buffers.clear()
            pinned = self._device.type == "cuda"
            self._buffers[place, shape] = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        return self._buffers[place, shape]
