"""A folder of pictures, judged one by one: the table of verdicts and what it adds up to.

Answers: which level did each picture get, and why? Knows no truth: whether that was right is for people, or for
learning/evaluate.py. Promise: one line for each picture, in order, written when it is known; a picture without a
verdict has a line too, UNKNOWN, with the reason.
"""
from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Iterator, List, Optional, Sequence, Tuple, Type

from rich.console import Group
from rich.table import Table
from rich.text import Text

from duck_protection.recording.palette import COLOURS, hex_of
from duck_protection.verdict import Level

SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".ppm": "ppm"}


@dataclass(frozen=True)
class Picture:
    """One picture to judge: its name for people, its bytes, and the format as CompressedImage has it."""

    name: str
    data: bytes
    kind: str


@dataclass(frozen=True)
class Source:
    """Where pictures come from: how many, and each in turn, read when it is its turn."""

    count: int
    pictures: Iterator[Picture]


@dataclass(frozen=True)
class Line:
    """What was said about one picture. probabilities: in the table's order, empty when nothing was read."""

    name: str
    stamp_s: float
    level: Level
    probabilities: Tuple[float, ...]
    off_mass: Optional[float]
    reason: str
    age_ms: Optional[float]
    decode_ms: Optional[float]
    wait_ms: Optional[float]
    infer_ms: Optional[float]
    frame_to_verdict_ms: Optional[float]


def pictures_in(folder: Path) -> Source:
    """Every JPEG, PNG and PPM directly in the folder, by name.

    Raises:
        ValueError: No such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no picture: none of its files ends in {', '.join(SUFFIXES)}")
    pictures = (Picture(path.name, path.read_bytes(), SUFFIXES[path.suffix.lower()]) for path in paths)
    return Source(len(paths), pictures)


class VerdictTable:
    """Writes the CSV as lines come. Use as a context.

    Args:
        path: Of the file, overwritten.
        words: The offered choices: one column each.
    """

    def __init__(self, path: Path, words: Sequence[str]) -> None:
        self.lines: List[Line] = []
        self._words = tuple(words)
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        times = ("age_ms", "decode_ms", "wait_ms", "infer_ms", "frame_to_verdict_ms")
        self._writer.writerow(("picture", "stamp_s", "level", *(f"p_{w}" for w in words), "off_mass", "reason", *times))

    def add(self, line: Line) -> None:
        """Writes one line."""
        self.lines.append(line)
        shares = line.probabilities or (None,) * len(self._words)
        times = (line.age_ms, line.decode_ms, line.wait_ms, line.infer_ms, line.frame_to_verdict_ms)
        said = (*map(_four, shares), _four(line.off_mass), line.reason)
        row = (line.name, f"{line.stamp_s:.6f}", line.level.name, *said)
        self._writer.writerow((*row, *("" if value is None else f"{value:.1f}" for value in times)))
        self._file.flush()

    def __enter__(self) -> VerdictTable:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], err: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._file.close()


def report(lines: Sequence[Line], seconds: float, files: str) -> Group:
    """The levels counted, the reasons for UNKNOWN, the files."""
    levels = Counter(line.level for line in lines)
    judged = sum(bool(line.probabilities) for line in lines)
    head = Text(f"{_many(len(lines), 'picture')}, {judged} judged in {seconds:.0f} s", style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=10)
    table.add_column(min_width=6, justify="right")
    table.add_column(style="dim")
    for level in (Level.CLEAR, Level.SLOW, Level.STOP, Level.UNKNOWN):
        share = 100 * levels[level] / len(lines) if lines else 0.0
        name = Text(f"  {level.name}", style=f"bold {hex_of(COLOURS[level])}")
        table.add_row(name, str(levels[level]), f"{share:5.1f} %")
    reasons = Counter(line.reason.split(":")[0] for line in lines if line.level is Level.UNKNOWN)
    whys = ", ".join(f"{why} ({count})" for why, count in reasons.most_common(5))
    tail = [Text(f"  UNKNOWN because of: {whys}", style="dim")] if whys else []
    return Group(Text(), head, table, *tail, Text(f"  written: {files}"), Text())


def _four(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.4f}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
