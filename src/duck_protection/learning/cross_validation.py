"""How well does tuning on some robots' photographs serve another robot? Each robot is held out once.

Promise: a robot that is reported had no part in its fold: neither in the weights nor in the thresholds, which are
chosen on what the fold's training kept back.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from duck_protection.learning import card, evaluation, finetune, photographs
from duck_protection.learning.dataset import FrameSet, load
from duck_protection.learning.evaluation import Chosen, Data, Measured
from duck_protection.learning.scores import Count
from duck_protection.learning.sources import folder_and_split
from duck_protection.question import Question
from duck_protection.recording.results import envelope, write_json

KEYS = {"danger_recall": "a duck in the lane: SLOW or STOP", "stop_recall": "of these STOP",
        "false_stop_frames": "none in the lane: judged STOP"}  # fmt: skip


def cross_validate(args: argparse.Namespace, question: Question) -> None:
    """Tune without each robot in turn; print and write what each saw on the robot held out.

    Raises:
        ValueError: No photographs, or of fewer than two robots.
    """
    if not args.photographs:
        raise ValueError("--cross-validate holds out robots of --photographs")
    folder, split = folder_and_split(args.photographs)
    robots = sorted({label["robot"] for label in photographs.scored(folder, split).labels if "robot" in label})
    if len(robots) < 2:
        raise ValueError(f"cross-validation holds out robots; {args.photographs} names {len(robots)}")
    folds: List[Dict[str, Any]] = []
    for robot in robots:
        others = [one for one in robots if one != robot]
        measured, chosen = _fold(args, question, folder, split, others, robot)
        folds.append({"robot": robot, "trained_on": others, "thresholds": chosen.entry, **measured.plain()})
        print(_row(robot, folds[-1]["counts"]))
    total = {key: _together([fold["counts"][key] for fold in folds]) for key in KEYS}
    print(_row("all three" if len(robots) == 3 else "all", total))
    write_json(args.work / "cross_validation.json", envelope("cross-validation/1", folds=folds, together=total))


def _fold(
    args: argparse.Namespace, question: Question, folder: Path, split: str, others: List[str], robot: str
) -> Tuple[Measured, Chosen]:
    from duck_protection.vlm.fastvlm import FastVlm

    fold = argparse.Namespace(**{**vars(args), "work": args.work / robot})
    fold.work.mkdir(parents=True, exist_ok=True)
    seen = photographs.taught(folder, split, others)
    checkpoint, tuning = finetune.start(fold, question, seen)
    finetune.tune(tuning, fold.work, args.resume)
    finetune.ship(tuning, checkpoint, question, fold.work / "model", seen)
    vlm = FastVlm(str(fold.work / "model"), args.device)
    kept = [Data(f"photographs of {', '.join(others)}", seen, seen.validation().tolist())]
    if args.data:
        frames = load(*args.data)
        kept.append(Data("rendered frames", frames, _some(frames)))
    chosen = evaluation.choose(vlm, kept, question, args.forgive)
    held = photographs.scored(folder, split, [robot])
    data = Data(robot, held, np.arange(len(held.files)).tolist())
    return evaluation.measure(vlm, data, question, chosen.thresholds), chosen


def _some(frames: FrameSet, most: int = 1000) -> List[int]:
    numbers = frames.validation()
    return [int(number) for number in numbers[:: max(1, len(numbers) // most)][:most]]


def _together(counts: List[Dict[str, Any]]) -> Dict[str, Any]:
    return Count(sum(one["hits"] for one in counts), sum(one["of"] for one in counts)).plain()


def _row(name: str, counts: Dict[str, Any]) -> str:
    return f"{name:10} " + " · ".join(f"{words} {card.share(counts[key])}" for key, words in KEYS.items())
