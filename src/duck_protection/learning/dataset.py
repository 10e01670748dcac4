"""A rendered data set: picture files, truths, and which frames are kept back for validation.

Reads what learning/render.py writes: labels.jsonl and the JPEGs that it names. Promise: the truth of a frame is its
label's level; frames that share a town and a look are never split between training and validation; frames on which a
mere glimpse of a duck would change the level teach nothing and choose nothing.
"""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
from PIL import Image

from duck_protection.corridor import true_level
from duck_protection.frames import decode
from duck_protection.question import Question
from duck_protection.verdict import Level

VALIDATION_EVERY = 12  # one look in twelve: about 8 % of a training set chooses thresholds and the best moment
LEVELS = list(Level)[1:]  # those that a frame can deserve: CLEAR, SLOW, STOP
JITTERS = 24
WIDTH_PX = 640  # boxes are in pixels of the full-size frame
ALONG_SPREAD = 0.03  # of the distance: half a picture row at 0.45 m, so a nearer limit is sharper than a far one
OFFSET_SPREAD_M = 0.008
LIMIT_BAND_M = 0.05  # a frame within it is reported apart: no picture can tell 0.44 m from 0.46 m

Label = Dict[str, Any]


@dataclass(frozen=True)
class FrameSet:
    """Frames and labels of one or several data sets, one after the other.

    Args:
        files: The pictures.
        looks: int64, shape (n,): the number of each frame's look within its data set.
    """

    files: List[Path]
    labels: List[Label]
    looks: np.ndarray

    @property
    def official(self) -> bool:
        """Whether Duckietown's own files painted some of the pictures: their terms go on to what learns from them."""
        return any(label.get("assets") for label in self.labels)

    @property
    def digest(self) -> str:
        """Of the labels in their order: the same for the same frames, wherever they lie."""
        return hashlib.sha256(json.dumps(self.labels).encode()).hexdigest()[:16]

    def level(self, number: int) -> Level:
        """What this frame deserves."""
        return Level[self.labels[number]["level"]]

    def training(self) -> np.ndarray:
        """Numbers of the frames that training may see."""
        return np.flatnonzero((self.looks % VALIDATION_EVERY != VALIDATION_EVERY - 1) & ~self._doubtful())

    def validation(self) -> np.ndarray:
        """Numbers of the frames that training never sees."""
        return np.flatnonzero((self.looks % VALIDATION_EVERY == VALIDATION_EVERY - 1) & ~self._doubtful())

    def _doubtful(self) -> np.ndarray:
        return np.array([glimpsed(label) for label in self.labels], dtype=bool)


def load(*folders: Path) -> FrameSet:
    """The frames rendered so far.

    Raises:
        FileNotFoundError: There is no data set here; render one.
    """
    parts = [_load(folder) for folder in folders]
    together: List[Any] = [[one for part in parts for one in part[field]] for field in range(2)]
    return FrameSet(*together, looks=np.concatenate([part[2] for part in parts]))


def is_rendered(folder: Path) -> bool:
    """Whether the labels know where each duck stands, as only a rendering does."""
    with (folder / "labels.jsonl").open() as lines:
        first = next((line for line in lines if line.strip()), "{}")
    return "ducks" in json.loads(first)


def picture(file: Path, side_px: int) -> np.ndarray:
    """A 4:3 picture as wide as a model's square of this side: uint8, shape (3/4 side, side, 3), RGB order.

    Raises:
        FrameError: Not a picture that the robot could read.
    """
    size = (side_px, side_px * 3 // 4)
    return np.asarray(Image.fromarray(decode(file.read_bytes())).resize(size, Image.Resampling.BICUBIC))


def _load(folder: Path) -> Tuple[List[Path], List[Label], np.ndarray]:
    text = (folder / "labels.jsonl").read_text()
    labels = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]  # the last may still be written
    return [folder / one["file"] for one in labels], labels, _looks(labels)


def _looks(labels: List[Label]) -> np.ndarray:
    """Frames of one look follow each other and share their town's name."""
    maps = [label["map"] for label in labels]
    return np.cumsum([0, *(here != before for before, here in zip(maps, maps[1:]))])[: len(maps)]


def glimpsed(label: Label) -> bool:
    """Whether the level would be another one if ducks counted of which less than a tenth is to be seen."""
    if not label.get("glimpses"):
        return False
    ducks = [*label["ducks"], *label["glimpses"]]
    return true_level(np.array([(duck["along_m"], duck["offset_m"]) for duck in ducks])) is not Level[label["level"]]


def near_limit(label: Label) -> bool:
    """Whether the level would be another one if a single duck stood LIMIT_BAND_M farther, nearer, or to one side."""
    ducks = np.array([(duck["along_m"], duck["offset_m"]) for duck in label["ducks"]]).reshape(-1, 2)
    level, reach = Level[label["level"]], (-LIMIT_BAND_M, 0.0, LIMIT_BAND_M)
    moves = [(number, (along, offset)) for number in range(len(ducks)) for along in reach for offset in reach]
    moved = [np.where(np.arange(len(ducks))[:, None] == number, ducks + move, ducks) for number, move in moves]
    return any(true_level(one) is not level for one in moved)


def mirrored(label: Label) -> Label:
    """The label of the same picture seen in a mirror: a town that drives on the left. The level stays as it is, for
    the corridor lies around the lane that the robot is in, on whichever side of the yellow line."""
    ducks = [
        {**duck, "left_m": -duck["left_m"], "offset_m": -duck["offset_m"],
         "box": [WIDTH_PX - duck["box"][2], duck["box"][1], WIDTH_PX - duck["box"][0], duck["box"][3]]}
        for duck in label["ducks"]
    ]  # fmt: skip
    return {**label, "ducks": ducks, "d_m": -label["d_m"], "phi_rad": -label["phi_rad"]}


def soft_targets(labels: List[Label], question: Question, seed: int) -> np.ndarray:
    """How much each choice deserves to be said: the truth under a small doubt about where the ducks stand.

    A duck at 0.449 m is STOP and one at 0.451 m is SLOW, and no eye can tell them apart; a target that says so
    teaches the model its own uncertainty instead of a coin's.

    Returns:
        float32, shape (n, choices), each row summing to 1, in the order of the question's choices.
    """
    rng = np.random.default_rng(seed)
    return (np.stack([_soft_target(label, rng) for label in labels]) @ deserved(question)).astype(np.float32)


def deserved(question: Question) -> np.ndarray:
    """How much of each level (row: CLEAR, SLOW, STOP) each of the question's choices (column) deserves: words of one
    level share it, and where none says SLOW, that is for those that say STOP.

    Returns:
        float64, shape (3, choices), each row summing to 1.
    """
    said = [choice.level for choice in question.choices]
    heard = [level if level in said else Level.STOP for level in LEVELS]
    return np.array([[float(one is level) / said.count(level) for one in said] for level in heard])


def _soft_target(label: Label, rng: np.random.Generator) -> np.ndarray:
    """float64, shape (3,): the shares of CLEAR, SLOW and STOP."""
    hard = np.array([float(level is Level[label["level"]]) for level in LEVELS])
    ducks = np.array([(duck["along_m"], duck["offset_m"]) for duck in label["ducks"]]).reshape(-1, 2)
    ducks = ducks[(ducks[:, 0] < 1.3) & (np.abs(ducks[:, 1]) < 0.3)]  # others cannot change the level
    if not len(ducks):
        return hard
    doubt = rng.normal(size=(JITTERS, len(ducks), 2)) * np.array([1.0, OFFSET_SPREAD_M])
    doubt[..., 0] *= ALONG_SPREAD * np.maximum(ducks[:, 0], 0.1)
    said = [true_level(ducks + shift) for shift in doubt]
    soft = np.array([float(np.mean([level is one for one in said])) for level in LEVELS])
    return (hard + 3 * soft) / 4  # the label itself stays among the votes
