"""Shows the tower where the ducks are, during training only: two small heads that the shipped model does not have.

One word a picture is little to learn small things from. The labels know more: each duck's box, and the level that
this duck alone deserves. The heads must say so for each cell of the tower's middle map (16 pixels a cell) and for
each visual token (64 pixels). Promise: nothing of this is needed, or saved, for reading a verdict.
"""
from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from duck_protection.corridor import true_level
from duck_protection.verdict import Level

STRIDES_PX = (16, 64)  # picture pixels per cell of the middle map, and per visual token
CLASSES = len(Level)  # UNKNOWN stands for "no duck here"
BOX_WIDTH_PX = 640  # boxes are in pixels of the full-size frame


class Tutor(nn.Module):
    """Two 1 x 1 convolutions that read a class for each cell."""

    def __init__(self, middle_width: int, token_width: int) -> None:
        super().__init__()
        self.middle = nn.Conv2d(middle_width, CLASSES, 1)
        self.tokens = nn.Conv2d(token_width, CLASSES, 1)

    def loss(self, middle: Tensor, tokens: Tensor, cells: Tuple[Tensor, Tensor]) -> Tensor:
        """How wrong the heads are about these maps; cells as from cells_of()."""
        return _cell_loss(self.middle(middle), cells[0]) + _cell_loss(self.tokens(tokens), cells[1])


def see(tower: nn.Module, pixels: Tensor) -> Tuple[Tensor, Tensor]:
    """The tower's map after its third stage, and its last one: forward_features(), with a look in between."""
    middle = tower.stages[:3](tower.stem(pixels))
    return middle, tower.final_conv(tower.stages[3:](middle))


def cells_of(labels: Sequence[Dict[str, Any]], side_px: int) -> Tuple[Tensor, Tensor]:
    """The classes of all cells, int64, shapes (batch, side / 16, side / 16) and (batch, side / 64, side / 64)."""
    maps = [[_cells(label["ducks"], side_px, stride) for label in labels] for stride in STRIDES_PX]
    return torch.from_numpy(np.stack(maps[0])), torch.from_numpy(np.stack(maps[1]))


def _cells(ducks: List[Dict[str, Any]], side_px: int, stride_px: int) -> np.ndarray:
    """The most dangerous duck that touches each cell."""
    cells = np.zeros((side_px // stride_px,) * 2, dtype=np.int64)
    scale, band_px = side_px / BOX_WIDTH_PX, side_px / 8  # 4:3 in a square: an eighth is black above
    for duck in ducks:
        left, top, right, bottom = (scale * edge for edge in duck["box"])
        rows = slice(int((top + band_px) / stride_px), int((bottom + band_px - 0.01) / stride_px) + 1)
        columns = slice(int(left / stride_px), int((right - 0.01) / stride_px) + 1)
        level = true_level(np.array([[duck["along_m"], duck["offset_m"]]]))
        cells[rows, columns] = np.maximum(cells[rows, columns], level)
    return cells


def _cell_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross-entropy in which all cells with ducks weigh as much as all cells without."""
    each = functional.cross_entropy(logits.float(), cells, reduction="none")
    some = (cells > 0).float()
    return (each * some).sum() / some.sum().clamp_min(1) + (each * (1 - some)).sum() / (1 - some).sum().clamp_min(1)
