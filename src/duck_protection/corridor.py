"""The truth of a frame: which level do ducks at known places deserve?

One function, used by every data set, test and episode, so that no two of them disagree about what STOP means.
All positions are on the ground, in metres, in the bumper frame: x forward of the front bumper, y left.
Promise: true_level() depends on nothing but where the ducks stand and where the robot means to drive.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from duck_protection.verdict import Level

STRAIGHT_AHEAD = np.array([[0.0, 0.0], [1.0, 0.0]])
TOUCHING_M = -0.03  # a duck's radius: one whose centre is this far behind the bumper's face still touches it


@dataclass(frozen=True)
class Corridor:
    """The limits, in metres. Values and reasons: docs/architecture.md, "Truth of a frame"."""

    half_width_m: float = 0.12  # either side of the path, to the duck's centre: half a 0.23 m lane
    stop_m: float = 0.45
    slow_m: float = 1.0
    beside_m: float = 0.24  # a duck this near the path may step out (measured: half of the crossing ducks do)
    beside_slow_m: float = 0.6


DEFAULT = Corridor()


def along_path(points: np.ndarray, path: np.ndarray = STRAIGHT_AHEAD) -> np.ndarray:
    """Where points lie relative to the path: arc length from its start and offset to its left.

    Args:
        points: float, shape (n, 2), metres, bumper frame.
        path: float, shape (m, 2), m >= 2, the planned route from the bumper on; continued straight at both ends.

    Returns:
        float64, shape (n, 2): column 0 metres along the path (negative: before its start), column 1 metres left.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    path = np.asarray(path, dtype=np.float64)
    steps = np.diff(path, axis=0)  # (m-1, 2)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    steps, starts, lengths = steps[lengths > 0], path[:-1][lengths > 0], lengths[lengths > 0]
    tangents = steps / lengths[:, None]
    offsets = points[:, None, :] - starts[None]  # (n, m-1, 2)
    ahead = np.einsum("nmk,mk->nm", offsets, tangents)
    low = np.where(np.arange(len(lengths)) == 0, -np.inf, 0.0)
    high = np.where(np.arange(len(lengths)) == len(lengths) - 1, np.inf, lengths)
    ahead = np.clip(ahead, low, high)
    gaps = offsets - ahead[..., None] * tangents[None]
    nearest = np.argmin(np.hypot(gaps[..., 0], gaps[..., 1]), axis=1)
    rows = np.arange(len(points))
    left = tangents[nearest, 0] * gaps[rows, nearest, 1] - tangents[nearest, 1] * gaps[rows, nearest, 0]
    distance = np.hypot(gaps[rows, nearest, 0], gaps[rows, nearest, 1])
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return np.column_stack([before[nearest] + ahead[rows, nearest], np.where(left < 0, -distance, distance)])


def true_level(
    ducks: np.ndarray, path: np.ndarray = STRAIGHT_AHEAD, corridor: Corridor = DEFAULT
) -> Level:
    """The level that these ducks deserve; CLEAR without any. Shapes as in along_path()."""
    placed = along_path(ducks, path)
    distance, offset = placed[:, 0], np.abs(placed[:, 1])
    ahead = distance >= TOUCHING_M
    inside = ahead & (offset <= corridor.half_width_m)
    beside = ahead & (offset <= corridor.beside_m)
    if np.any(inside & (distance < corridor.stop_m)):
        return Level.STOP
    if np.any(inside & (distance < corridor.slow_m)) or np.any(beside & (distance < corridor.beside_slow_m)):
        return Level.SLOW
    return Level.CLEAR


def nearest_in_path_m(
    ducks: np.ndarray, path: np.ndarray = STRAIGHT_AHEAD, corridor: Corridor = DEFAULT
) -> Optional[float]:
    """Metres along the path to the nearest duck inside the corridor, or None. Shapes as in along_path()."""
    placed = along_path(ducks, path)
    inside = placed[(placed[:, 0] >= TOUCHING_M) & (np.abs(placed[:, 1]) <= corridor.half_width_m), 0]
    return float(inside.min()) if inside.size else None
