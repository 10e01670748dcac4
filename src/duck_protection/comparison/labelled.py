"""Frames whose truth is known, from any labelled folder, in two parts: one to choose on, one to report.

Reads what learning/render.py writes; folders with labels.jsonl of {"file", "level"} lines; and photographs whose
lines have a "lane_label" (own_lane is danger, off_road and none are not, the others are not scored). Promise: frames
of one place (a look, a robot) are never on both sides, and the same folder always gives the same parts.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from duck_protection.learning.dataset import FrameSet, is_rendered, load
from duck_protection.learning.photographs import danger
from duck_protection.verdict import Level

HINT = "render some: ./run render --out data/compare --n 600 --seed 9 --scenes plain"
# A frame without a key "map" belongs to the block of so many frames in which it was listed: they follow each other.
BLOCK = 20


class LabelsError(ValueError):
    """There is nothing here to measure on; the message says what to do."""


@dataclass(frozen=True)
class Labelled:
    """The frames, and which of them choose and which report.

    Args:
        danger_only: The labels tell danger from none and no more: a SLOW is as right as a STOP.
    """

    frames: FrameSet
    choosing: Tuple[int, ...]
    reporting: Tuple[int, ...]
    danger_only: bool
    folder: str
    digest: str

    def groups(self, numbers: Sequence[int]) -> List[int]:
        """The place of each of these frames: for intervals."""
        return [int(self.frames.looks[number]) for number in numbers]

    def about(self) -> Dict[str, Any]:
        """For the report."""
        levels = [self.frames.level(number).name for number in self.reporting]
        return {
            "folder": self.folder, "labels_sha256": self.digest, "choosing": len(self.choosing),
            "reporting": len(self.reporting), "danger_only": self.danger_only,
            "places": len(set(self.groups(self.reporting))),
            "levels": {name: levels.count(name) for name in ("CLEAR", "SLOW", "STOP")},
        }  # fmt: skip


def load_labelled(folder: Path, most: int = 0) -> Labelled:
    """The set in a folder.

    Args:
        most: Frames in each part; 0: all. Fewer are taken evenly, so that places stay mixed.

    Raises:
        LabelsError: No labels, or too few places for two parts.
    """
    file = folder / "labels.jsonl"
    if not file.is_file():
        raise LabelsError(f"{folder} has no labels.jsonl; {HINT}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    frames, danger_only = (load(folder), False) if is_rendered(folder) else _foreign(folder, file)
    odd = frames.looks % 2 == 1
    parts = [tuple(thinned(np.flatnonzero(side).tolist(), most)) for side in (odd, ~odd)]
    if not all(parts):
        raise LabelsError(f"{folder} shows fewer than two places: nothing to choose on beside what is reported; {HINT}")
    return Labelled(frames, parts[0], parts[1], danger_only, folder.name, digest)


def _foreign(folder: Path, file: Path) -> Tuple[FrameSet, bool]:
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    if not lines:
        raise LabelsError(f"{file} is empty; {HINT}")
    danger_only = not any("level" in line for line in lines)
    labels = [known for line in lines for known in _label(line, danger_only)]
    if not labels:
        raise LabelsError(f"no line of {file} has a level (CLEAR, SLOW, STOP) or a lane_label that is scored")
    labels.sort(key=lambda label: label["map"])
    places = sorted({label["map"] for label in labels})
    looks = np.array([places.index(label["map"]) for label in labels])
    return FrameSet([folder / label["file"] for label in labels], labels, looks), danger_only


def _label(line: Dict[str, Any], danger_only: bool) -> List[Dict[str, Any]]:
    """The line as dataset.py has it, or nothing when it is not scored."""
    lane = {True: Level.STOP.name, False: Level.CLEAR.name, None: ""}[danger(line)]
    level = str(line.get("level") or lane)
    if level not in ("CLEAR", "SLOW", "STOP"):
        return []
    place = line.get("map") or f"{line.get('robot', '')} {line.get('light', '')}".strip()
    known = {"danger": danger(line)} if danger_only else {}
    where = str(place or f"block {_number(line) // BLOCK:06d}")
    return [{"file": str(line["file"]), "level": level, "map": where, **known}]


def _number(line: Dict[str, Any]) -> int:
    digits = "".join(letter for letter in Path(str(line["file"])).stem if letter.isdigit())
    return int(digits or 0)


def thinned(numbers: Sequence[int], most: int) -> Sequence[int]:
    """So many of the numbers at most, taken evenly; 0: all."""
    if not most or len(numbers) <= most:
        return numbers
    return [numbers[place] for place in np.linspace(0, len(numbers) - 1, most).astype(int)]
