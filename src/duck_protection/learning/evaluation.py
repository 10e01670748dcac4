"""One evaluation: thresholds, the data sets that are reported, what was measured on them, and the whole as JSON.

Promise: no reported frame had a part in choosing; what is reported was read from picture files by the model's choose()
and judged by verdict.judge(), as on the robot.
"""
from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from duck_protection.frames import decode
from duck_protection.learning import asking, breakdown, records, sources
from duck_protection.learning.choosing import Reading, choose_thresholds, costs_of
from duck_protection.learning.dataset import VALIDATION_EVERY, FrameSet
from duck_protection.learning.marking import judged, mass
from duck_protection.learning.scores import Score, score
from duck_protection.question import Question
from duck_protection.recording.sheet import Shown
from duck_protection.verdict import Level, Thresholds
from duck_protection.vlm.base import Vlm

BATCH = 16
MISTAKES = 16  # frames on a sheet
SHORT = {Level.CLEAR: "C", Level.SLOW: "L", Level.STOP: "S"}


@dataclass(frozen=True)
class Data:
    """A data set as it was named, "FOLDER" or "FOLDER:SPLIT", and which of its frames are meant."""

    name: str
    frames: FrameSet
    numbers: Sequence[int]

    @classmethod
    def open(cls, named: str, kept_back: bool = False) -> Data:
        """All scored frames, or those that a training on this set kept back.

        Raises:
            FileNotFoundError, ValueError: As sources.open_data(); or nothing was kept back.
        """
        folder, split = sources.folder_and_split(named)
        frames = sources.open_data(folder, split, taught=kept_back)
        numbers = frames.validation() if kept_back else np.arange(len(frames.files))
        if not len(numbers):
            raise ValueError(f"a training on {named} keeps back nothing (it would be one look in {VALIDATION_EVERY}): "
                             "name a larger set, or one that training never saw with --unseen")  # fmt: skip
        shown = folder.resolve().name + (f":{split}" if split else "")
        return cls(shown, frames, numbers.tolist())

    def halves(self) -> List[Data]:
        """Every second look to choose on, the others to report."""
        odd = self.frames.looks % 2 == 1
        return [Data(self.name, self.frames, np.flatnonzero(part).tolist()) for part in (odd, ~odd)]


def check_apart(reported: Sequence[str], chosen_on: Sequence[str]) -> None:
    """No set, as it was named, is reported and chosen on.

    Raises:
        ValueError: One is, whole or in part.
    """
    others = {_place(named) for named in chosen_on}
    for named in reported:
        folder, split = _place(named)
        if any(folder == other and (split == part or not split or not part) for other, part in others):
            raise ValueError(f"{named} is to be reported, and thresholds are to be chosen on it: name other frames")


def _place(named: str) -> Tuple[Path, str]:
    folder, split = sources.folder_and_split(named)
    return folder.resolve(), split


@dataclass(frozen=True)
class Chosen:
    """Thresholds, the record that says so, and where they come from in words."""

    thresholds: Thresholds
    entry: Dict[str, Any]
    origin: str


@dataclass(frozen=True)
class Measured:
    """What a model did on one data set."""

    data: Data
    readings: Sequence[Reading]
    score: Score
    parts: breakdown.Parts

    def plain(self) -> Dict[str, Any]:
        """For JSON."""
        parts = {kind: {name: one.plain() for name, one in found.items()} for kind, found in self.parts.items()}
        return {"name": self.data.name, "kind": sources.kind(self.data.frames), **self.score.plain(), "parts": parts}


def read(vlm: Vlm, frames: FrameSet, numbers: Sequence[int], question: Question) -> List[Reading]:
    """What the model says about these frames, in batches of 16, with a progress bar."""
    from tqdm import tqdm

    readings: List[Reading] = []
    with tqdm(total=len(numbers), unit="frame", mininterval=5) as bar:
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            pictures = [decode(frames.files[number].read_bytes()) for number in part]
            replies = vlm.choose(pictures, [question] * len(part))
            readings += [_reading(reply, frames, number) for reply, number in zip(replies, part)]
            bar.update(len(part))
    return readings


def _reading(reply: Any, frames: FrameSet, number: int) -> Reading:
    return Reading(reply, frames.level(number), frames.labels[number].get("danger"))


def choose(vlm: Vlm, on: Sequence[Data], question: Question, forgiven: float) -> Chosen:
    """Thresholds from these frames, which nothing else may use."""
    readings = [one for data in on for one in read(vlm, data.frames, data.numbers, question)]
    thresholds = choose_thresholds(readings, question, forgiven)
    today = datetime.date.today().isoformat()
    entry = records.record(vlm.identity, question.key, thresholds, len(readings), today, forgiven)
    names = ", ".join(data.name for data in on)
    return Chosen(thresholds, entry, f"chosen on {len(readings)} frames of {names} that training never saw")


def recorded(file: Path, vlm: Vlm, question: Question) -> Optional[Chosen]:
    """The thresholds that the robot would use, if there is a record for exactly this model."""
    entry = records.find_record(file, vlm.identity, question.key)
    if entry is None:
        return None
    return Chosen(records.thresholds_of(entry), entry, f"the record of {entry['date']} in {file.name}")


def measure(vlm: Vlm, data: Data, question: Question, thresholds: Thresholds) -> Measured:
    """Read the set and score it, whole and in parts."""
    readings = read(vlm, data.frames, data.numbers, question)
    parts = breakdown.parts(readings, data.frames, data.numbers, question, thresholds)
    return Measured(data, readings, score(readings, question, thresholds, BATCH), parts)


def mistakes(measured: Measured, question: Question, thresholds: Thresholds) -> List[Shown]:
    """The worst mistakes, for a sheet: by what they would cost, then by how sure the model was."""
    readings, costs = measured.readings, costs_of(measured.readings)
    acted = [judged(reading, question, thresholds) for reading in readings]
    paid = [float(row[level - 1]) if level else 0.0 for row, level in zip(costs, acted)]  # UNKNOWN stops: no mistake
    sure = [mass(reading, question, level) for reading, level in zip(readings, acted)]
    worst = [number for number in sorted(range(len(paid)), key=lambda n: (-paid[n], -sure[n])) if paid[number] > 0]
    return [_shown(measured, number, acted[number], question) for number in worst[:MISTAKES]]


def _shown(measured: Measured, number: int, acted: Level, question: Question) -> Shown:
    reading, place = measured.readings[number], measured.data.numbers[number]
    label = measured.data.frames.labels[place]
    truth = label.get("lane_label") or f"truth, {breakdown.distance_of(label)}"
    said = ", ".join(f"{SHORT[level]} {mass(reading, question, level):.2f}" for level in list(Level)[1:])
    file = measured.data.frames.files[place]
    return Shown(file, ((str(truth), reading.deserved), (f"judged; {said}", acted)))


def answers(asked: Sequence[asking.Asked]) -> Dict[str, Any]:
    """The free answers, for JSON, with the first wrong ones."""
    wrong = [asdict(one) for one in asked if not one.right]
    return {
        "n": len(asked), "topics": {name: count.plain() for name, count in asking.by_topic(asked).items()},
        "wrong": wrong[:40],
    }  # fmt: skip


def summary(
    vlm: Vlm, question: Question, chosen: Chosen, sets: Sequence[Measured], asked: Sequence[asking.Asked]
) -> Dict[str, Any]:
    """The whole as JSON: the first set's numbers stand at the top, every set's under "sets"."""
    told = [one.plain() for one in sets]
    first = {key: value for key, value in told[0].items() if key not in ("name", "kind", "parts")}
    return {
        **asdict(vlm.identity), "question": question.key, "thresholds": chosen.entry, "origin": chosen.origin,
        **first, "parts": told[0]["parts"], "sets": told, "answers": answers(asked) if asked else None,
    }  # fmt: skip
