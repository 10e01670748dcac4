"""Where boxes in a Duckiebot's photograph stand on the road, and how far that may be from the truth.

Answers by one calibration for all robots, so approximately: about 3 cm near, worse far. Promise: a box whose foot
lies at or above the horizon has no place, and doubts() contains the place itself.
"""
from __future__ import annotations

import math
from typing import List, Sequence

import cv2
import numpy as np

WIDTH_PX = 640
# Of a Duckiebot of 2019 with the same camera; the photographs' own robots were not calibrated (published with them).
MATRIX = np.array([[307.0479, 0, 326.4757], [0, 305.4109, 250.7376], [0, 0, 1]])
DISTORTION = np.array([-0.252746, 0.039920, -0.000558, 0.002848, 0])
RECTIFIED = np.array([[211.1702, 0, 324.2572], [0, 240.4145, 257.7593], [0, 0, 1]])
# Undistorted pixel to metres, x forward of the wheels' axle, y left.
GROUND = np.array([[-4.293846e-05, -2.157719e-04, -0.09757309], [6.874356e-04, 2.821256e-06, -0.2327950],
                   [-1.451939e-04, -5.342500e-03, 1]])  # fmt: skip
BUMPER_M = 0.08  # ahead of the axle; simulation/town.py has the same robot
SCALES, SHIFTS_M = (0.8, 1.0, 1.3), (-0.05, 0.0, 0.05)  # seen: three robots' pitches differ by so much at 0.5 m
# Centre lines of a lane that may begin right here: straight on, and Duckietown's curves (0.585 m tiles).
LEFT_M, RIGHT_M = 0.41, 0.175  # radius of the lane's centre in a left and a right curve


def places(boxes: Sequence[Sequence[float]], width_px: int) -> np.ndarray:
    """Metres forward of the bumper and to the left of each box's foot, float64, shape (n, 2); NaN without a place.

    Args:
        boxes: (x0, y0, x1, y1) in pixels of a picture of this width and 4:3.
    """
    if not len(boxes):
        return np.zeros((0, 2))
    edges = np.asarray(boxes, dtype=np.float64) * (WIDTH_PX / width_px)
    feet = np.column_stack([(edges[:, 0] + edges[:, 2]) / 2, edges[:, 3]])
    flat = cv2.undistortPoints(feet.reshape(-1, 1, 2), MATRIX, DISTORTION, None, RECTIFIED).reshape(-1, 2)
    seen = np.column_stack([flat, np.ones(len(flat))]) @ GROUND.T
    ahead = seen[:, 2] < 0  # above the horizon the sign turns
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = seen[:, :2] / seen[:, 2:]
    ground[~ahead] = np.nan
    return np.asarray(ground - np.array([BUMPER_M, 0.0]))


def doubts(ground: np.ndarray) -> List[np.ndarray]:
    """The places as they may really be: nearer or farther all together, and to one side. Shapes as the argument's."""
    return [ground * scale + np.array([0.0, shift]) for scale in SCALES for shift in SHIFTS_M]


def paths() -> List[np.ndarray]:
    """Where the lane may lead from the bumper on: straight, left, right; each float64, shape (m, 2)."""
    straight = np.array([[0.0, 0.0], [1.0, 0.0]])
    return [straight, _curve(LEFT_M, 1), _curve(RIGHT_M, -1)]


def _curve(radius_m: float, side: int) -> np.ndarray:
    """A quarter of a circle, then straight on."""
    turn = np.linspace(0, math.pi / 2, 16)
    arc = np.column_stack([np.sin(turn), side * (1 - np.cos(turn))]) * radius_m
    return np.vstack([arc, arc[-1] + np.array([0.0, side])])
