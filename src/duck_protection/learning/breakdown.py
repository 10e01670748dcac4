"""The same score over parts of a data set: by source, by distance of the nearest duck in the way, by light.

Promise: every frame is in exactly one part of each kind; what a label does not tell is measured (light) or called
unknown (distance).
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
from PIL import Image

from duck_protection.corridor import DEFAULT, TOUCHING_M
from duck_protection.learning.choosing import Reading
from duck_protection.learning.dataset import FrameSet, glimpsed, near_limit
from duck_protection.learning.scores import Score, score
from duck_protection.question import Question
from duck_protection.verdict import Thresholds

EDGES_M = (0.15, 0.30, DEFAULT.stop_m, 0.70, DEFAULT.slow_m, 1.5)
# Mean brightness, 0 to 255. Photographs that people called dark, medium, bright: medians 17, 42, 83.
DARK, BRIGHT = 25, 60
AWAY, NEAR = "over 5 cm from a limit", "within 5 cm of a limit"
GLIMPSED = "a duck seen by less than a tenth would change it"

Parts = Dict[str, Dict[str, Score]]


def parts(
    readings: Sequence[Reading], frames: FrameSet, numbers: Sequence[int], question: Question, thresholds: Thresholds
) -> Parts:
    """Scores by kind and part; readings are of the frames with these numbers."""
    labels = [frames.labels[number] for number in numbers]
    kinds: Dict[str, List[str]] = {
        "source": [str(label.get("robot") or label.get("split") or "") for label in labels],
        "distance": [distance_of(label) for label in labels],
        "light": [light_of(frames, number) for number in numbers],
        "limit": [_limit(label) for label in labels],
    }
    return {kind: _scored(readings, names, question, thresholds) for kind, names in kinds.items() if any(names)}


def distance_of(label: Dict[str, Any]) -> str:
    """The band of the nearest duck in the way or right beside it, in metres along the path."""
    if "ducks" not in label:
        return "unknown"
    beside = [duck for duck in label["ducks"] if abs(duck["offset_m"]) <= DEFAULT.beside_m]
    near = [duck["along_m"] for duck in beside if duck["along_m"] >= TOUCHING_M]
    if not near or min(near) >= EDGES_M[-1]:
        return "none in the way"
    at = int(np.searchsorted(EDGES_M, min(near), side="right"))
    return f"{(0.0, *EDGES_M)[at]:.2f} to {EDGES_M[at]:.2f} m"


def _limit(label: Dict[str, Any]) -> str:
    """Nothing where the label knows no places, or only danger from none."""
    if "ducks" not in label or "danger" in label:
        return ""
    if glimpsed(label):
        return GLIMPSED
    return NEAR if near_limit(label) else AWAY


def light_of(frames: FrameSet, number: int) -> str:
    """What the label says, else dark, medium or bright by the picture's mean."""
    told = frames.labels[number].get("light")
    return str(told) if told else _measured(frames.files[number])


def _measured(file: Path) -> str:
    with Image.open(file) as picture:
        picture.draft("L", (160, 120))
        mean = float(np.asarray(picture.convert("L")).mean())
    return "dark" if mean < DARK else "bright" if mean >= BRIGHT else "medium"


def _scored(
    readings: Sequence[Reading], names: Sequence[str], question: Question, thresholds: Thresholds
) -> Dict[str, Score]:
    def of(name: str) -> Score:
        return score([one for one, own in zip(readings, names) if own == name], question, thresholds)

    order: Callable[[str], Any] = lambda name: (name in ("unknown", "none in the way"), name)  # noqa: E731
    return {name: of(name) for name in sorted(set(names) - {""}, key=order)}
