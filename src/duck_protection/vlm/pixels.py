"""From camera frames to the square picture that FastVLM looks at.

Answers: which numbers does the vision tower see? Promise: the whole frame is in them (padded with black to a square,
never cropped), bicubic as Apple's code does it with Pillow.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from duck_protection.frames import pad_to_square

if TYPE_CHECKING:
    from torch import Tensor


def with_pillow(frame: np.ndarray, side_px: int) -> Tensor:
    """The padded frame at the model's size, uint8, shape (3, side_px, side_px)."""
    import torch
    from PIL import Image

    square = Image.fromarray(pad_to_square(frame)).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)
