"""A contact sheet of a data set: 24 frames from all over it, with level, boxes and metres, for people to look at.

Answers: do the labels say what the pictures show? Promise: a box has the colour of the level that its duck alone
deserves, with its metres along and beside the path in words; the same data set gives the same sheet.
"""
from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from duck_protection.corridor import true_level
from duck_protection.learning.dataset import FrameSet
from duck_protection.recording.palette import COLOURS, INK, PAPER, Rgb
from duck_protection.verdict import Level

COLUMNS, ROWS = 6, 4
WIDTH, HEIGHT, LINE, GAP = 320, 240, 22, 8  # px
SCALE = WIDTH / 640  # boxes are in pixels of a picture 640 wide
MOST_TOLD = 4  # the nearest ducks have their metres written; a crowd's would hide the picture
WHITE: Rgb = (255, 255, 255)


def contact_sheet(frames: FrameSet) -> bytes:
    """The sheet as a JPEG.

    Raises:
        ValueError: There is no frame.
    """
    if not frames.files:
        raise ValueError("a contact sheet needs at least one frame")
    count = min(COLUMNS * ROWS, len(frames.files))
    chosen = np.linspace(0, len(frames.files) - 1, count).astype(int).tolist()
    columns, step = min(COLUMNS, count), HEIGHT + LINE + GAP
    page = Image.new("RGB", (columns * (WIDTH + GAP) + GAP, -(-count // columns) * step + GAP), PAPER)
    for place, number in enumerate(chosen):
        at = (GAP + place % columns * (WIDTH + GAP), GAP + place // columns * step)
        page.paste(_frame(frames.files[number], frames.labels[number]), at)
    out = io.BytesIO()
    page.save(out, "JPEG", quality=85)
    return out.getvalue()


def _frame(file: Path, label: Dict[str, Any]) -> Image.Image:
    tile = Image.new("RGB", (WIDTH, HEIGHT + LINE), PAPER)
    with Image.open(file) as picture:
        tile.paste(picture.convert("RGB").resize((WIDTH, HEIGHT)), (0, 0))
    pen, font, level = ImageDraw.Draw(tile), ImageFont.load_default(12), Level[label["level"]]
    ducks = sorted(label.get("ducks", []), key=lambda duck: float(duck["along_m"]))
    for number, duck in enumerate(ducks):
        _duck(pen, duck, told=number < MOST_TOLD)
    pen.rectangle((0, HEIGHT + 2, 62, HEIGHT + LINE - 1), fill=COLOURS[level])
    ink = INK if level is Level.SLOW else WHITE
    pen.text((31, HEIGHT + LINE // 2 + 1), level.name, fill=ink, font=font, anchor="mm")
    told = [file.name, *(str(label[key]) for key in ("lane_label", "kind", "light", "road") if label.get(key))]
    pen.text((70, HEIGHT + LINE // 2 + 1), " · ".join(told), fill=INK, font=font, anchor="lm")
    return tile


def _duck(pen: ImageDraw.ImageDraw, duck: Dict[str, Any], *, told: bool) -> None:
    colour = COLOURS[true_level(np.array([[duck["along_m"], duck["offset_m"]]]))]
    left, top, right, bottom = (SCALE * edge for edge in duck["box"])
    pen.rectangle((left, top, right, bottom), outline=colour, width=2)
    if told:
        words, font = f"{duck['along_m']:.2f} {duck['offset_m']:+.2f}", ImageFont.load_default(10)
        at = (min(max(left, 1), WIDTH - 60), max(top - 12, 1) if top > 14 else min(bottom + 1, HEIGHT - 12))
        pen.rectangle(pen.textbbox(at, words, font=font), fill=(0, 0, 0))
        pen.text(at, words, fill=WHITE, font=font)
