"""Phase 1: which question is the best one for each model, and where the models part.

Each question is asked of each model about every frame of both parts. Thresholds and the best question are chosen on
the choosing part alone; everything reported is of the other part. Promise: all replies go to readings.jsonl, so that
every number can be checked; a model that refuses a question, or fails on a frame, is recorded so and ends nothing.
"""

from __future__ import annotations

import datetime
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from duck_protection.comparison.agreement import agreement, disagreements
from duck_protection.comparison.contenders import Contender
from duck_protection.comparison.labelled import Labelled
from duck_protection.comparison.scoring import costs, marks, thresholds_from
from duck_protection.learning.choosing import Reading
from duck_protection.learning.evaluation import read
from duck_protection.learning.marking import judged, likeliest
from duck_protection.learning.records import record
from duck_protection.question import Question
from duck_protection.recording.intervals import interval
from duck_protection.recording.sheet import Shown, sheet
from duck_protection.verdict import Identity, Level, Thresholds
from duck_protection.vlm.base import ChoiceError

SHOWN = 16  # frames on a sheet
Say = Callable[[str], None]
Opener = Callable[[], ContextManager[Contender]]


@dataclass(frozen=True)
class Heard:
    """What one model said to one question.

    Args:
        levels: Judged, of the reporting part.
        costs: Of the choosing part's frames.
        better_than_chance: On the choosing part.
        row: For prompts.json.
    """

    contender: str
    question: Question
    levels: Tuple[Level, ...]
    costs: np.ndarray
    better_than_chance: bool
    row: Dict[str, Any]


def run(
    openers: Sequence[Opener], labelled: Labelled, questions: Mapping[str, Question], folder: Path, say: Say
) -> Dict[str, Any]:
    """The content of prompts.json; readings.jsonl and sheets/ are written into the folder.

    Raises:
        LoadError: A model cannot be opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    heard: List[Heard] = []
    contenders: List[Dict[str, Any]] = []
    with (folder / "readings.jsonl").open("w", encoding="utf-8") as file:
        for opener in openers:
            with opener() as contender:
                name = _unlike(contender.name, [one["name"] for one in contenders])
                here = [_heard(contender, name, labelled, question, file, say) for question in questions.values()]
                known = [one for one in here if isinstance(one, Heard)]
                refused = [one for one in here if isinstance(one, dict)]
                about = {**contender.about(), "name": name, "refused": refused, "best": _best(known, labelled)}
                contenders.append({**about, "failures": contender.vlm.failures[:5]})
                heard += known
    return {
        "data": labelled.about(),
        "questions": {one.name: _words(one) for one in questions.values()},
        "contenders": contenders,
        "rows": [one.row for one in heard],
        "agreements": _agreements(heard),
        "sheets": _sheets(heard, contenders, labelled, folder / "sheets"),
    }


def _heard(
    contender: Contender, name: str, labelled: Labelled, question: Question, file: Any, say: Say
) -> Heard | Dict[str, Any]:
    """The readings' marks; or, where the model cannot be asked this question, why."""
    say(f"{name}: {question.key}")
    try:
        contender.vlm.check_choices(question.words)
        chosen = read(contender.vlm, labelled.frames, labelled.choosing, question)
        reported = read(contender.vlm, labelled.frames, labelled.reporting, question)
    except ChoiceError as err:
        return {"question": question.key, "why": str(err)}
    thresholds = thresholds_from(chosen, question)
    groups = [labelled.groups(part) for part in (labelled.choosing, labelled.reporting)]
    on_choosing = marks(chosen, question, thresholds, groups[0])
    on_reporting = marks(reported, question, thresholds, groups[1])
    row = {
        "contender": name, "question": question.key, "thresholds": asdict(thresholds) if thresholds else None,
        "cost_when_choosing": on_choosing.cost, **on_reporting.plain(),
    }  # fmt: skip
    levels = tuple(judged(reading, question, thresholds) for reading in reported)
    for number, reading, level in zip(labelled.reporting, reported, levels):
        line = _line(labelled.frames.labels[number]["file"], reading, question, level)
        file.write(json.dumps({"contender": name, **line}) + "\n")
    spent = costs(chosen, question, thresholds)
    return Heard(name, question, levels, spent, on_choosing.better_than_chance, row)


def _line(file: str, reading: Reading, question: Question, level: Level) -> Dict[str, Any]:
    reply = reading.reply
    numbers = [None if number != number else round(number, 6) for number in (*reply.probabilities, reply.off_mass)]
    return {
        "question": question.key, "file": file, "truth": reading.truth.name, "choices": list(question.words),
        "probabilities": numbers[:-1], "off_mass": numbers[-1], "likeliest": likeliest(reading, question).name,
        "judged": level.name,
    }  # fmt: skip


def _best(heard: Sequence[Heard], labelled: Labelled) -> Optional[str]:
    """The first question in questions.yaml that is not, by more than the noise, dearer than the cheapest one; None
    where no answer has anything to do with the frames.

    Decided on the choosing part. A question nobody measured before is not worth a difference that may be none.
    """
    heard = [one for one in heard if one.better_than_chance]
    if not heard:
        return None
    cheapest = min(heard, key=lambda one: float(one.costs.mean())).costs
    groups = labelled.groups(labelled.choosing)
    return next(one.question.key for one in heard if not _dearer(one.costs - cheapest, groups))


def _dearer(extra: np.ndarray, groups: Sequence[int]) -> bool:
    return interval(lambda drawn: float(extra[drawn].mean()), groups).low > 0


def records(found: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Lines of config/thresholds.yaml: each contender's best question, where its probabilities were measured.

    A word that a server writes has no probability that a threshold could mean.
    """
    today, n = datetime.date.today().isoformat(), found["data"]["choosing"]
    rows = {(row["contender"], row["question"]): row for row in found["rows"]}
    lines = []
    for one in found["contenders"]:
        limits = rows[one["name"], one["best"]]["thresholds"] if one["best"] and not one["written"] else None
        if limits:
            who = Identity(one["model"], one["revision"], one["dtype"], one["backend"])
            lines.append(record(who, one["best"], Thresholds(**limits), n, today))
    return lines


def _unlike(name: str, others: Sequence[str]) -> str:
    """The name, with a number where another contender has it already."""
    names = (name if number == 1 else f"{name} ({number})" for number in itertools.count(1))
    return next(one for one in names if one not in others)


def _agreements(heard: Sequence[Heard]) -> List[Dict[str, Any]]:
    pairs = [(a, b) for a, b in itertools.combinations(heard, 2) if a.question == b.question]
    return [
        {"question": a.question.key, "a": a.contender, "b": b.contender, **agreement(a.levels, b.levels).plain()}
        for a, b in pairs
    ]


def _sheets(
    heard: Sequence[Heard], contenders: Sequence[Dict[str, Any]], labelled: Labelled, folder: Path
) -> List[Dict[str, Any]]:
    """Each one's disagreements with the truth at its best question, and those of each pair at the first one's best."""
    truth = [labelled.frames.level(number) for number in labelled.reporting]
    best = {one["name"]: one["best"] for one in contenders}
    by_name = {(one.contender, one.question.key): one for one in heard}
    sheets = []
    for name, key in best.items():
        if key:
            one = by_name[name, key]
            sheets.append(_sheet(f"{name} against the truth, {key}", truth, [one], truth, labelled, folder))
    for a, b in itertools.combinations(best, 2):
        key = best[a] or best[b]
        both = [by_name[name, key] for name in (a, b) if (name, key) in by_name]
        if len(both) == 2:
            sheets.append(_sheet(f"{a} against {b}, {key}", truth, both, both[1].levels, labelled, folder))
    return [entry for entry in sheets if entry]


def _sheet(
    title: str, truth: Sequence[Level], heard: Sequence[Heard], against: Sequence[Level], labelled: Labelled,
    folder: Path,
) -> Dict[str, Any]:  # fmt: skip
    places = disagreements(truth, heard[0].levels, against)
    if not places:
        return {}
    shown = [
        Shown(
            labelled.frames.files[labelled.reporting[place]],
            (("truth", truth[place]), *((one.contender, one.levels[place]) for one in heard)),
        )
        for place in places[:SHOWN]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("-".join("".join(c if c.isalnum() else " " for c in title).split()) + ".jpg")
    file.write_bytes(sheet(shown))
    return {"title": title, "file": f"{folder.name}/{file.name}", "frames": len(places), "shown": len(shown)}


def _words(question: Question) -> Dict[str, Any]:
    return {
        "key": question.key, "prompt": question.prompt, "picture_last": question.picture_last,
        "choices": {choice.word: choice.level.name for choice in question.choices},
    }  # fmt: skip
