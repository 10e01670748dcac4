"""`./run gif`: a small picture that moves, out of a film of the demo, for the README.

Answers: what does a stop look like? Promise: the part around the first lasting STOP (or what was asked for), and a
file below --max-mb: rate and size are reduced until it is.
"""
from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import av
import numpy as np
from PIL import Image

from duck_protection.recording.palette import COLOURS, INK, PAPER
from duck_protection.recording.results import ROOT
from duck_protection.verdict import Level

TRIES = ((400, 8.0), (360, 6.0), (320, 5.0), (280, 4.0))  # width in pixels, pictures a second
COLOUR_COUNT = 96
BEFORE_S = 8.0  # of the film before the stop
LASTING_S = 1.0
Shot = Tuple[float, Image.Image]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command; exit status 1 when no try is small enough."""
    parser = argparse.ArgumentParser(prog="./run gif", description="Twenty seconds of a film as a GIF.")
    add = parser.add_argument
    add("video", nargs="?", type=Path, default=ROOT / "out" / "demo.mp4")
    add("--out", type=Path, default=ROOT / "docs" / "demo.gif", metavar="FILE")
    add("--start", type=float, metavar="S", help="where it begins (8 s before the first stop that lasts)")
    add("--seconds", type=float, default=20.0)
    add("--max-mb", type=float, default=3.0)
    options = parser.parse_args(arguments)
    if not options.video.is_file():
        parser.error(f"{options.video} does not exist: ./run demo makes it")
    start_s = first_stop_s(options.video) if options.start is None else options.start
    for width, rate_hz in TRIES:
        data = gif(list(shots(options.video, start_s, options.seconds, rate_hz)), width, rate_hz)
        if len(data) <= 1e6 * options.max_mb:
            options.out.write_bytes(data)
            print(f"written: {options.out}, {len(data) / 1e6:.2f} MB, {width} pixels wide, {rate_hz:g} a second")
            return 0
    print(f"gif: not below {options.max_mb} MB", file=sys.stderr)
    return 1


def shots(video: Path, start_s: float, seconds: float, rate_hz: float) -> Iterator[Shot]:
    """(time, picture) at that rate."""
    due_s = start_s
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= due_s:
                if frame.time > start_s + seconds:
                    return
                due_s += 1 / rate_hz
                yield frame.time, frame.to_image()


def first_stop_s(video: Path) -> float:
    """BEFORE_S before the first STOP that lasts, as the overlay's edge tells; 0 without one."""
    since_s: Optional[float] = None
    for at_s, picture in shots(video, 0.0, 1e9, 5.0):
        if _level_of(picture) is not Level.STOP:
            since_s = None
        elif since_s is None:
            since_s = at_s
        elif at_s - since_s >= LASTING_S:
            return max(0.0, since_s - BEFORE_S)
    return 0.0


def _level_of(picture: Image.Image) -> Level:
    edge = np.asarray(picture)[:2, picture.width // 4 : picture.width // 2].reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda level: float(np.abs(edge - COLOURS[level]).sum()))


def gif(pictures: List[Shot], width: int, rate_hz: float) -> bytes:
    """All of them, with one palette, so that nothing flickers."""
    if not pictures:
        raise SystemExit("gif: nothing there in the film")
    height = width * pictures[0][1].height // pictures[0][1].width
    small = [image.resize((width, height), Image.Resampling.LANCZOS) for _, image in pictures]
    some = [np.asarray(image)[::4, ::4] for image in small[:: max(1, len(small) // 12)]]
    patches = [np.full((40, some[0].shape[1], 3), colour, np.uint8) for colour in (*COLOURS.values(), PAPER, INK)]
    palette = Image.fromarray(np.concatenate([*some, *patches])).quantize(COLOUR_COUNT)  # the levels' colours are kept
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in small]
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / rate_hz), loop=0)
    return target.getvalue()


if __name__ == "__main__":
    sys.exit(main())
