"""The shape that belongs to each level: a disc with a tick, a triangle, an octagon, a diamond with a question mark.

Shapes differ in outline, as road signs do, so that they are told apart without colour and from afar.
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import List, Tuple

import numpy as np
from PIL import Image, ImageDraw

from duck_protection.recording.palette import COLOURS, PAPER, Rgb
from duck_protection.verdict import Level

FINER = 4  # drawn so many times larger, then reduced: smooth edges

Points = List[Tuple[float, float]]


@lru_cache(maxsize=64)
def tile(level: Level, side_px: int) -> np.ndarray:
    """A square in the level's colour with its shape in white, uint8, shape (side_px, side_px, 3), RGB, read-only."""
    side = side_px * FINER
    canvas = Image.new("RGB", (side, side), COLOURS[level])
    _SHAPES[level](ImageDraw.Draw(canvas), side, COLOURS[level])
    return np.asarray(canvas.resize((side_px, side_px), Image.Resampling.LANCZOS))


def _polygon(side: float, corners: int, radius: float, turn_deg: float, drop: float = 0.0) -> Points:
    """Corners of a regular polygon about the tile's middle; radius and drop as shares of the side."""
    angles = [math.radians(turn_deg + 360.0 * corner / corners) for corner in range(corners)]
    return [(side * (0.5 + radius * math.cos(a)), side * (0.5 + drop + radius * math.sin(a))) for a in angles]


def _line(pen: ImageDraw.ImageDraw, side: float, shares: Points, colour: Rgb, thick: float) -> None:
    points = [(x * side, y * side) for x, y in shares]
    pen.line(points, colour, round(thick * side), joint="curve")
    for x, y in (points[0], points[-1]):
        radius = thick * side / 2
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _clear(pen: ImageDraw.ImageDraw, side: float, colour: Rgb) -> None:
    pen.ellipse((0.18 * side, 0.18 * side, 0.82 * side, 0.82 * side), PAPER)
    _line(pen, side, [(0.35, 0.51), (0.46, 0.62), (0.66, 0.40)], colour, 0.085)


def _slow(pen: ImageDraw.ImageDraw, side: float, colour: Rgb) -> None:
    pen.polygon(_polygon(side, 3, 0.40, -90.0, 0.07), PAPER)
    _line(pen, side, [(0.5, 0.40), (0.5, 0.55)], colour, 0.075)
    pen.ellipse((0.455 * side, 0.62 * side, 0.545 * side, 0.71 * side), colour)


def _stop(pen: ImageDraw.ImageDraw, side: float, colour: Rgb) -> None:
    pen.polygon(_polygon(side, 8, 0.36, 22.5), PAPER)
    pen.rounded_rectangle((0.30 * side, 0.44 * side, 0.70 * side, 0.56 * side), 0.03 * side, colour)


def _unknown(pen: ImageDraw.ImageDraw, side: float, colour: Rgb) -> None:
    pen.polygon(_polygon(side, 4, 0.38, 0.0), PAPER)
    thick = round(0.07 * side)
    pen.arc((0.40 * side, 0.31 * side, 0.60 * side, 0.51 * side), 180, 75, colour, thick)
    _line(pen, side, [(0.5, 0.49), (0.5, 0.545)], colour, 0.065)
    pen.ellipse((0.46 * side, 0.61 * side, 0.54 * side, 0.69 * side), colour)


_SHAPES = {Level.UNKNOWN: _unknown, Level.CLEAR: _clear, Level.SLOW: _slow, Level.STOP: _stop}
