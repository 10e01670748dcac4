"""Small labelled folders, scripted models, and results of the phases made of known numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from PIL import Image

from duck_protection.comparison.contenders import Contender, Patient
from duck_protection.learning.choosing import Reading
from duck_protection.question import Choice, Question
from duck_protection.verdict import Identity, Level, Reply, Timings
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

LEVELS = (Level.CLEAR, Level.SLOW, Level.STOP)
ROAD = Question(
    "road", 1, "Is a duck in your way?",
    (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP)),
)  # fmt: skip
WHO = Identity("thing", "1", "none", "scripted")


def jpeg(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=90)
    return out.getvalue()


def folder_of(folder: Path, lines: Sequence[Dict[str, Any]], size: tuple[int, int] = (64, 48)) -> Path:
    """A labelled folder with a noisy picture for each line."""
    for number, line in enumerate(lines):
        file = folder / line["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(number, size))
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def levelled(count: int, place: int = 3) -> List[Dict[str, Any]]:
    """CLEAR, SLOW, STOP in turn; each place has so many frames."""
    return [
        {"file": f"{number:03d}.jpg", "level": LEVELS[number % 3].name, "map": f"place {number // place:03d}"}
        for number in range(count)
    ]


def reading(
    truth: Level, probabilities: Sequence[float], off_mass: float = 0.0, danger: Optional[bool] = None
) -> Reading:  # fmt: skip
    return Reading(Reply(tuple(probabilities), off_mass, "", WHO, Timings(infer_ms=1.0)), truth, danger)


def knowing(truth: Level, sure: float = 0.9) -> Reading:
    """A reading that is right, as sure as told."""
    rest = (1 - sure) / 2
    return reading(truth, [sure if level is truth else rest for level in LEVELS])


def scripted(*lines: Any, name: str = "thing") -> Contender:
    return Contender(name, name, Patient(ScriptedVlm(lines_from(list(lines)))), False)

