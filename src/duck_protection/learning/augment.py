"""Small honest changes to training pictures: light, colour, blur, fewer pixels, noise and a little shift.

No zoom (distances would change); mirroring, which changes labels too, is lesson_batches.py's. Promise: the same
seed gives the same changes, and a picture stays one that this camera could have taken.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TINT = 0.2  # a lamp's colour: each channel by itself up to a fifth brighter or darker
COARSER, COARSEST = 0.3, 0.55  # share of the pictures that had fewer columns and rows once; how few, of all
SHIFT = (1 / 192, 1 / 64)  # up or down, to the sides, of the picture's width: a third of a degree of pitch, one of yaw


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
    changed = _shift(_blur(_coarser(pictures, generator), generator), generator) * scale + offset
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


def _coarser(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Some as a camera of fewer pixels, or one that is out of focus, would have seen them."""
    seen = pictures.clone()
    size = pictures.shape[-2:]
    for one in (torch.rand(len(pictures), generator=generator) < COARSER).nonzero().flatten().tolist():
        share = COARSEST + (1 - COARSEST) * float(torch.rand((), generator=generator))
        few = functional.interpolate(seen[one : one + 1], scale_factor=share, mode="bilinear", antialias=True)
        seen[one] = functional.interpolate(few, size, mode="bilinear", align_corners=False)[0]
    return seen


def _shift(pictures: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns = (round(share * pictures.shape[-1]) for share in SHIFT)
    padded = functional.pad(pictures, (columns, columns, rows, rows), mode="replicate")
    height, width = pictures.shape[-2:]
    down = torch.randint(0, 2 * rows + 1, (len(pictures),), generator=generator).tolist()
    right = torch.randint(0, 2 * columns + 1, (len(pictures),), generator=generator).tolist()
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(padded, down, right)])
