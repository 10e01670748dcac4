"""Measures a model on frames whose truth is known, through the real engine, and chooses its thresholds.

    ./run evaluate models/duckling data/heldout --validation data/plain data/train \
        --write-thresholds config/thresholds.yaml --json out/evaluation.json

Answers: how often is the level right, and how often is a STOP taken for CLEAR? Thresholds are chosen on validation
frames alone (looks of --validation that training never saw; without it, every second look of DATA, and then only the
others are reported). Frames within 5 cm of a limit of the truth are also reported apart. Promise: what is reported was
read from JPEGs by FastVlm.choose() and judged by verdict.judge(), as on the robot, and no reported frame had a part in
choosing.
"""
from __future__ import annotations

import argparse
import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import yaml

from duck_protection.frames import decode
from duck_protection.learning.choosing import Reading, choose_thresholds
from duck_protection.learning.dataset import FrameSet, load, near_limit
from duck_protection.question import Question, questions_from
from duck_protection.verdict import Identity, Level, Thresholds, judge
from duck_protection.vlm.base import Vlm

BATCH = 16


@dataclass(frozen=True)
class Score:
    """What a model with its thresholds did on n frames.

    Args:
        confusion: Counts by true level (CLEAR, SLOW, STOP) and judged level (UNKNOWN, CLEAR, SLOW, STOP).
        danger_recall: Share of the true SLOW and STOP frames on which the robot would not have driven on as if clear.
    """

    n: int
    confusion: Tuple[Tuple[int, ...], ...]
    accuracy: float
    stop_recall: float
    stop_judged_clear: int
    danger_recall: float
    false_stop_frames: int
    verdict_ms_p50: float


def read(vlm: Vlm, frames: FrameSet, numbers: Sequence[int], question: Question) -> List[Reading]:
    """What the model says about these frames, in batches of 16, with a progress bar."""
    from tqdm import tqdm

    readings: List[Reading] = []
    with tqdm(total=len(numbers), unit="frame", mininterval=5) as bar:
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            pictures = [decode(frames.files[number].read_bytes()) for number in part]
            replies = vlm.choose(pictures, [question] * len(part))
            readings += [Reading(reply, frames.level(number)) for reply, number in zip(replies, part)]
            bar.update(len(part))
    return readings


def score(readings: Sequence[Reading], question: Question, thresholds: Thresholds) -> Score:
    """How these readings fare under these thresholds."""
    levels = [choice.level for choice in question.choices]
    counts = np.zeros((len(Level), len(Level)), dtype=int)
    for reading in readings:
        counts[reading.truth, judge(reading.reply, levels, thresholds).level] += 1
    stops, dangers = counts[Level.STOP], counts[[Level.SLOW, Level.STOP]]
    return Score(
        n=len(readings),
        confusion=tuple(tuple(int(count) for count in counts[truth]) for truth in list(Level)[1:]),
        accuracy=_share(np.trace(counts), counts.sum()),
        stop_recall=_share(stops[Level.STOP], stops.sum()),
        stop_judged_clear=int(stops[Level.CLEAR]),
        danger_recall=1 - _share(dangers[:, Level.CLEAR].sum(), dangers.sum()),
        false_stop_frames=int(counts[Level.CLEAR, Level.STOP]),
        verdict_ms_p50=float(np.median([reading.reply.timings.infer_ms for reading in readings])) / BATCH,
    )


def table(name: str, result: Score) -> str:
    """The score, for people."""
    rows = [f"{name}: {result.n} frames", f"{'truth':>8} |" + "".join(f"{level.name:>9}" for level in Level)]
    rows += [
        f"{level.name:>8} |" + "".join(f"{count:>9}" for count in counts)
        for level, counts in zip(list(Level)[1:], result.confusion)
    ]
    rows.append(
        f"right {result.accuracy:.2%} · STOP judged STOP {result.stop_recall:.2%} · STOP judged CLEAR "
        f"{result.stop_judged_clear} · danger not judged CLEAR {result.danger_recall:.2%} · CLEAR judged STOP "
        f"{result.false_stop_frames} · {result.verdict_ms_p50:.1f} ms a frame in batches of {BATCH}"
    )
    return "\n".join(rows)


def record(
    identity: Identity, question: str, thresholds: Thresholds, n: int, date: str, forgiven: float = 0.0
) -> Dict[str, Any]:
    """A line of config/thresholds.yaml, about a question's key.

    Args:
        forgiven: The share of STOPs that had no say, told where it is not nothing.
    """
    limits = {key: round(float(getattr(thresholds, key)), 4) for key in ("stop_at", "clear_at", "max_off_mass")}
    told = {"forgiven": forgiven} if forgiven else {}
    return {**asdict(identity), "question": question, **limits, **told, "n": n, "date": date}


def write_record(file: Path, entry: Dict[str, Any]) -> None:
    """Put a record into the file, in the place of one with the same key; the file's leading comment stays."""
    before = file.read_text() if file.exists() else ""
    comment = "".join(line + "\n" for line in before.splitlines() if line.startswith("#"))
    keys = ("model", "revision", "dtype", "backend", "question")
    others = [one for one in yaml.safe_load(before) or [] if any(str(one[key]) != str(entry[key]) for key in keys)]
    file.write_text(comment + yaml.safe_dump([*others, entry], sort_keys=False, default_flow_style=False))


def _parts(test: FrameSet, validation: Sequence[Path]) -> Tuple[FrameSet, List[int], List[int]]:
    """The frames to choose on (set and numbers), and the numbers of the test set's frames to report."""
    if validation:
        chosen = load(*validation)
        return chosen, chosen.validation().tolist(), list(range(len(test.labels)))
    odd = test.looks % 2 == 1
    return test, np.flatnonzero(odd).tolist(), np.flatnonzero(~odd).tolist()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure a model and choose its thresholds.")
    parser.add_argument("model", help="folder or hub name")
    parser.add_argument("data", type=Path, help="folder made by learning.render: the frames to report")
    kept = "the training's data: choose on what it kept back"
    parser.add_argument("--validation", type=Path, nargs="+", default=[], help=kept)
    parser.add_argument("--questions", type=Path, default=Path("config/questions.yaml"))
    parser.add_argument("--question", default="road")
    parser.add_argument("--forgive", type=float, default=0.0, help="share of the STOPs that thresholds may give up")
    parser.add_argument("--write-thresholds", type=Path, help="YAML file that takes the record")
    parser.add_argument("--json", type=Path, help="file for the scores")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    args = parser.parse_args()
    from duck_protection.vlm.fastvlm import FastVlm

    question = questions_from(yaml.safe_load(args.questions.read_text()))[args.question]
    vlm = FastVlm(args.model, args.device, args.dtype)
    test = load(args.data)
    chosen_set, chosen, reported = _parts(test, args.validation)
    validated = read(vlm, chosen_set, chosen, question)
    thresholds = choose_thresholds(validated, question, args.forgive)
    readings = read(vlm, test, reported, question)
    parts = {"test": readings, **_by_limits(readings, [test.labels[number] for number in reported])}
    results = {name: score(part, question, thresholds) for name, part in parts.items() if part}
    for name, result in {"validation": score(validated, question, thresholds), **results}.items():
        print(table(name, result))
    today = datetime.date.today().isoformat()
    entry = record(vlm.identity, question.key, thresholds, len(validated), today, args.forgive)
    print(json.dumps(entry))
    if args.write_thresholds:
        write_record(args.write_thresholds, entry)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(_numbers(results, entry), indent=1) + "\n")


def _by_limits(readings: Sequence[Reading], labels: Sequence[Dict[str, Any]]) -> Dict[str, List[Reading]]:
    """The readings of frames near a limit of the truth, and of the others."""
    near = [near_limit(label) for label in labels]
    return {
        "farther than 5 cm from a limit": [one for one, is_near in zip(readings, near) if not is_near],
        "within 5 cm of a limit": [one for one, is_near in zip(readings, near) if is_near],
    }


def _numbers(results: Dict[str, Score], entry: Dict[str, Any]) -> Dict[str, Any]:
    parts = {name.replace(" ", "_"): asdict(result) for name, result in results.items() if name != "test"}
    return {**asdict(results["test"]), "parts": parts, "thresholds": entry}


def _share(part: int, whole: int) -> float:
    return float(part) / float(whole) if whole else float("nan")


if __name__ == "__main__":
    main()
