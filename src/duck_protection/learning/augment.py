"""Small honest changes to training pictures: light, colour, blur, noise and a few pixels of shift.

No zoom (distances would change); mirroring, which changes labels too, is lesson_batches.py's. Promise: the same
seed gives the same changes, and a picture stays one that this camera could have taken.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TINT = 0.2  # a lamp's colour: each channel by itself up to a fifth brighter or darker
SHIFT_PX = (2, 6)  # rows, columns of a 384-pixel picture; two rows are the pitch of one degree in three


def augment(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Changed copies.

    Args:
        pictures: float32, shape (batch, 3, height, width), RGB order, 0 to 1.
    """
    count = len(pictures)
    gain = torch.exp(_uniform(count, 1, generator, 0.35) + _uniform(count, 3, generator, TINT))
    contrast = torch.exp(_uniform(count, 1, generator, 0.25))
    middle = pictures.mean(dim=(1, 2, 3)).reshape(-1, 1)
    scale = (gain * contrast)[..., None, None]
    offset = (gain * middle * (1 - contrast))[..., None, None]
    changed = _shift(_blur(pictures, generator), generator) * scale + offset
    strength = 0.03 * torch.rand(count, 1, 1, 1, generator=generator) ** 2
    noise = torch.randn(changed.shape, generator=generator)
    return (changed + strength * noise).clamp_(0, 1)


def to_square(pictures: Tensor) -> Tensor:
    """Black bands above and below, as frames.pad_to_square draws them."""
    missing = pictures.shape[-1] - pictures.shape[-2]
    return functional.pad(pictures, (0, 0, missing // 2, missing - missing // 2))


def _uniform(count: int, channels: int, generator: torch.Generator, reach: float) -> Tensor:
    return (2 * torch.rand(count, channels, generator=generator) - 1) * reach


def _blur(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the pictures stay sharp; the others are blended with their three-pixel mean."""
    count = len(pictures)
    chosen = (torch.rand(count, generator=generator) < 0.5).nonzero().flatten()
    if not len(chosen):
        return pictures
    blend = torch.rand(len(chosen), 1, 1, 1, generator=generator)
    soft = functional.avg_pool2d(pictures[chosen], 3, 1, 1, count_include_pad=False)
    blurred = pictures.clone()
    blurred[chosen] = torch.lerp(pictures[chosen], soft, blend)
    return blurred


def _shift(pictures: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns = SHIFT_PX
    padded = functional.pad(pictures, (columns, columns, rows, rows), mode="replicate")
    height, width = pictures.shape[-2:]
    down = torch.randint(0, 2 * rows + 1, (len(pictures),), generator=generator).tolist()
    right = torch.randint(0, 2 * columns + 1, (len(pictures),), generator=generator).tolist()
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(padded, down, right)])
