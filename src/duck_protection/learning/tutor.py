"""Shows the tower where the ducks are, during training only: small heads that the shipped model does not have.

One word a picture is little to learn small things from. The labels know more: each duck's box, the level that this
duck alone deserves, where it stands along and beside the path, and how the robot stands in its lane. The heads must
say so for each cell of the tower's middle map (16 pixels a cell) and for each visual token (64 pixels). Promise:
nothing of this is needed, or saved, for reading a verdict.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from duck_protection.corridor import true_level
from duck_protection.learning.dataset import WIDTH_PX
from duck_protection.verdict import Level

STRIDES_PX = (16, 64)  # picture pixels per cell of the middle map, and per visual token
CLASSES = len(Level)  # UNKNOWN stands for "no duck here"
OFFSET_SCALE_M, POSE_SCALE = 0.3, (0.05, 0.2)  # what counts as one: beside the path; in the lane (m, rad)
NEAR_M = 0.3  # log(along + this): an error of 3 cm matters at 0.3 m, and much less at 1.5 m


@dataclass(frozen=True)
class Cells:
    """What the heads should say about one map: the most dangerous, else nearest, duck that touches each cell.

    Args:
        levels: int64, shape (batch, rows, columns), UNKNOWN where there is no duck.
        places: float32, shape (batch, 2, rows, columns): log(metres along the path + NEAR_M), scaled metres beside it.
    """

    levels: Tensor
    places: Tensor


@dataclass(frozen=True)
class Lessons:
    """What the tutor knows about one batch; poses: float32, shape (batch, 2), scaled offset and angle in the lane."""

    middle: Cells
    tokens: Cells
    poses: Tensor

    def to(self, device: torch.device) -> Lessons:
        """The same lessons there."""
        cells = (Cells(one.levels.to(device), one.places.to(device)) for one in (self.middle, self.tokens))
        return Lessons(*cells, self.poses.to(device))


class Tutor(nn.Module):
    """1 x 1 convolutions that read level and place for each cell, and a linear map that reads the robot's pose."""

    def __init__(self, middle_width: int, token_width: int) -> None:
        super().__init__()
        self.middle, self.tokens = nn.Conv2d(middle_width, CLASSES, 1), nn.Conv2d(token_width, CLASSES, 1)
        self.middle_place, self.tokens_place = nn.Conv2d(middle_width, 2, 1), nn.Conv2d(token_width, 2, 1)
        self.pose = nn.Linear(token_width, 2)

    def loss(self, middle: Tensor, tokens: Tensor, lessons: Lessons) -> Tensor:
        """How wrong the heads are about the tower's middle and last map."""
        levels = _level_loss(self.middle(middle), lessons.middle) + _level_loss(self.tokens(tokens), lessons.tokens)
        places = _place_loss(self.middle_place(middle), lessons.middle) + _place_loss(
            self.tokens_place(tokens), lessons.tokens
        )
        pose = functional.smooth_l1_loss(self.pose(tokens.mean((2, 3))).float(), lessons.poses)
        return levels + 2 * places + pose


def see(tower: nn.Module, pixels: Tensor) -> Tuple[Tensor, Tensor]:
    """The tower's map after its third stage, and its last one: forward_features(), with a look in between."""
    middle = tower.stages[:3](tower.stem(pixels))
    return middle, tower.final_conv(tower.stages[3:](middle))


def lessons_of(labels: Sequence[Dict[str, Any]], side_px: int) -> Lessons:
    """What these labels teach about square pictures of this side."""
    middle, tokens = ([_cells(label["ducks"], side_px, stride) for label in labels] for stride in STRIDES_PX)
    poses = np.array([(label["d_m"], label["phi_rad"]) for label in labels]) / POSE_SCALE
    return Lessons(_stack(middle), _stack(tokens), torch.from_numpy(poses.astype(np.float32)))


def _cells(ducks: List[Dict[str, Any]], side_px: int, stride_px: int) -> Tuple[np.ndarray, np.ndarray]:
    levels = np.zeros((side_px // stride_px,) * 2, dtype=np.int64)
    places = np.zeros((2, *levels.shape), dtype=np.float32)
    scale, band_px = side_px / WIDTH_PX, side_px / 8  # 4:3 in a square: an eighth is black above
    for level, _, duck in sorted(((_level(duck), -duck["along_m"], duck) for duck in ducks), key=lambda one: one[:2]):
        left, top, right, bottom = (scale * edge for edge in duck["box"])
        rows = slice(int((top + band_px) / stride_px), int((bottom + band_px - 0.01) / stride_px) + 1)
        columns = slice(int(left / stride_px), int((right - 0.01) / stride_px) + 1)
        levels[rows, columns] = level
        places[0, rows, columns] = np.log(max(0.0, duck["along_m"]) + NEAR_M)
        places[1, rows, columns] = np.clip(duck["offset_m"] / OFFSET_SCALE_M, -2, 2)
    return levels, places


def _level(duck: Dict[str, Any]) -> Level:
    return true_level(np.array([[duck["along_m"], duck["offset_m"]]]))


def _stack(cells: Sequence[Tuple[np.ndarray, np.ndarray]]) -> Cells:
    levels, places = zip(*cells)
    return Cells(torch.from_numpy(np.stack(levels)), torch.from_numpy(np.stack(places)))


def _level_loss(logits: Tensor, cells: Cells) -> Tensor:
    """Cross-entropy in which all cells with ducks weigh as much as all cells without."""
    each = functional.cross_entropy(logits.float(), cells.levels, reduction="none")
    some = (cells.levels > 0).float()
    return (each * some).sum() / some.sum().clamp_min(1) + (each * (1 - some)).sum() / (1 - some).sum().clamp_min(1)


def _place_loss(places: Tensor, cells: Cells) -> Tensor:
    """Mean error of both coordinates, over the cells with ducks."""
    each = functional.smooth_l1_loss(places.float(), cells.places, reduction="none", beta=0.1).sum(1)
    some = (cells.levels > 0).float()
    return (each * some).sum() / some.sum().clamp_min(1)
