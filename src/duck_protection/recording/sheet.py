"""A picture sheet: frames side by side, each with its truth and what the readers said.

Promise: what a colour says a word says too; the same frames give the same sheet.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence, Tuple

from PIL import Image, ImageDraw, ImageFont

from duck_protection.recording.palette import COLOURS, INK, PAPER, Rgb
from duck_protection.verdict import Level

COLUMNS = 4
WIDTH, HEIGHT, LINE, GAP = 300, 225, 21, 12  # px: a 640x480 frame a little under half its size
WHITE: Rgb = (255, 255, 255)


@dataclass(frozen=True)
class Shown:
    """A frame on the sheet: its picture, its name, and (who, level) for the truth and each reader."""

    file: Path
    said: Tuple[Tuple[str, Level], ...]


def sheet(frames: Sequence[Shown]) -> bytes:
    """The sheet as a JPEG, four frames in a row.

    Raises:
        ValueError: There is nothing to show.
    """
    if not frames:
        raise ValueError("a sheet needs at least one frame")
    lines = max(len(frame.said) for frame in frames)
    columns, step = min(COLUMNS, len(frames)), HEIGHT + LINE * (lines + 1) + GAP
    size = (columns * (WIDTH + GAP) + GAP, math.ceil(len(frames) / COLUMNS) * step + GAP)
    page = Image.new("RGB", size, PAPER)
    for number, frame in enumerate(frames):
        _put(page, frame, GAP + number % COLUMNS * (WIDTH + GAP), GAP + number // COLUMNS * step)
    out = io.BytesIO()
    page.save(out, "JPEG", quality=82)
    return out.getvalue()


def _put(page: Image.Image, frame: Shown, left: int, top: int) -> None:
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    with Image.open(frame.file) as picture:
        page.paste(picture.convert("RGB").resize((WIDTH, HEIGHT)), (left, top))
    top += HEIGHT
    for who, level in frame.said:
        pen.rectangle((left, top + 2, left + 78, top + LINE - 1), fill=COLOURS[level])
        pen.text((left + 39, top + LINE // 2 + 1), level.name, fill=_ink_on(level), font=font, anchor="mm")
        pen.text((left + 86, top + LINE // 2 + 1), _fitting(who, font), fill=INK, font=font, anchor="lm")
        top += LINE
    pen.text((left, top + LINE // 2), frame.file.name, fill=(90, 98, 108), font=font, anchor="lm")


def _ink_on(level: Level) -> Rgb:
    return INK if level is Level.SLOW else WHITE


def _fitting(text: str, font: Any) -> str:
    if font.getlength(text) <= WIDTH - 86:
        return text
    while text and font.getlength(text + "…") > WIDTH - 86:
        text = text[:-1]
    return text + "…"
