"""The verdict drawn onto the camera picture, for people.

Answers: what was in force here, how sure was the model, how old was the evidence? Decides nothing. Promise: the
level is said three times (word, shape, colour), UNKNOWN never looks like CLEAR, the picture keeps its size, and
the road ahead stays visible: only the sky's band and a strip at the bottom edge are covered.
Needs Pillow 10.1 or newer, whose own scalable font it uses.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from duck_protection.recording import icons
from duck_protection.recording.palette import COLOURS, INK, MUTED, PAPER, Rgb
from duck_protection.verdict import Level

WIDTH_PX = 640  # the sizes below belong to this width and grow with the picture
BANNER_PX = 68
STRIP_PX = 24
SHADE = 0.66  # of INK over the picture: text keeps a contrast of at least 7 to 1 on a white wall


@dataclass(frozen=True)
class Bar:
    """One offered word, the level it stands for and its probability, 0 to 1."""

    word: str
    level: Level
    probability: float


def draw(rgb: np.ndarray, level: Level, lines: Sequence[str] = (), bars: Sequence[Bar] = ()) -> np.ndarray:
    """The picture with its verdict, a new array of the same shape.

    Args:
        rgb: uint8, shape (height, width, 3), RGB order; at least 160 x 120 to be readable.
        level: What was in force.
        lines: Up to three texts: the reason (under the level), the strip's left text, the strip's right text.
        bars: The offered choices with their probabilities; none when nothing was read.
    """
    scale = max(0.25, rgb.shape[1] / WIDTH_PX)
    out = np.array(rgb)
    said = [*lines, "", "", ""]
    banner = out[: round(BANNER_PX * scale)]
    _banner(banner, level, said[0], bars, scale)
    if said[1] or said[2]:
        _strip(out[-round(STRIP_PX * scale) :], said[1], said[2], scale)
    _edge(out, COLOURS[level], max(2, round(3 * scale)))
    return out


def _banner(band: np.ndarray, level: Level, reason: str, bars: Sequence[Bar], scale: float) -> None:
    """Draws into the band, a view of the picture's top."""
    _shade(band)
    height, width = band.shape[:2]
    band[:, :height] = icons.tile(level, height)[: band.shape[0], : band.shape[1]]
    canvas = Image.fromarray(band)
    pen = ImageDraw.Draw(canvas)
    left = height + round(14 * scale)
    right = width - round(250 * scale) if bars else width - round(14 * scale)
    pen.text((left, 25 * scale), level.name, PAPER, _font(30 * scale), "lm", stroke_width=0.9 * scale)
    small = _font(13 * scale)
    pen.text((left, 51 * scale), _fitted(reason, small, right - left), MUTED, small, "lm")
    for row, bar in enumerate(bars[:3]):
        _bar(pen, bar, (width - round(232 * scale), round((9 + 18 * row) * scale)), scale)
    band[:] = np.asarray(canvas)


def _bar(pen: ImageDraw.ImageDraw, bar: Bar, corner: Tuple[int, int], scale: float) -> None:
    left, top = corner
    start, length, thick = left + round(54 * scale), round(118 * scale), max(3, round(8 * scale))
    share = min(1.0, max(0.0, bar.probability)) if bar.probability == bar.probability else 0.0  # NaN: an empty bar
    middle = top + round(8 * scale)
    box = (start, middle - thick // 2, start + length, middle - thick // 2 + thick)
    font = _font(13 * scale)
    pen.text((start - round(10 * scale), middle), bar.word, PAPER, font, "rm")
    pen.rounded_rectangle(box, thick // 2, (62, 69, 80))
    if share * length >= 1:
        filled = (box[0], box[1], start + max(thick, round(share * length)), box[3])
        pen.rounded_rectangle(filled, thick // 2, COLOURS[bar.level])
    pen.text((start + length + round(48 * scale), middle), f"{100 * share:.1f} %", PAPER, font, "rm")


def _strip(band: np.ndarray, left: str, right: str, scale: float) -> None:
    _shade(band)
    canvas = Image.fromarray(band)
    pen = ImageDraw.Draw(canvas)
    font, margin, middle = _font(13 * scale), round(12 * scale), band.shape[0] / 2 - scale
    width = band.shape[1] - 2 * margin
    right = _fitted(right, font, width)
    pen.text((margin + width, middle), right, PAPER, font, "rm")
    pen.text((margin, middle), _fitted(left, font, width - font.getlength(right) - margin), PAPER, font, "lm")
    band[:] = np.asarray(canvas)


def _shade(band: np.ndarray) -> None:
    keep = round(256 * (1 - SHADE))
    ink = np.array([round(256 * SHADE) * part for part in INK], dtype=np.uint16)
    band[:] = (band.astype(np.uint16) * keep + ink) >> 8


def _edge(out: np.ndarray, colour: Rgb, thick: int) -> None:
    out[:thick] = out[-thick:] = colour
    out[:, :thick] = out[:, -thick:] = colour


def _fitted(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> str:
    """The text, cut with an ellipsis where it is too long."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


@lru_cache(maxsize=32)
def _font(size_px: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size_px)  # type: ignore[return-value]
