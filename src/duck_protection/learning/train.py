"""Trains the duckling: a thin FastVLM that answers the driving question from one picture.

    python -m duck_protection.learning.train --data data/train --out models/duckling --steps 5000 --seed 1

Answers: which weights read the truth of corridor.py best? Thresholds are not its matter (learning/evaluate.py).
Promise: the same seed gives the same batches, an interrupted training goes on with --resume as if nothing had
happened, and <out> always holds the best model so far, complete and loadable by the engine.

A plain loop, on purpose: the loss is not next-token loss (soft choices on the verdict's token, the picture read once
for all questions), which transformers' Trainer would only take through overridden methods longer than this loop;
averaging (torch.optim.swa_utils), compilation and mixed precision are torch's own. On two CPU cores, with a
smaller tower and 384 pixels, a step of 16 pictures took 0.29 s: bfloat16, tower compiled; in float32, uncompiled 0.45.
"""
from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch
import yaml
from safetensors.torch import load_file
from tokenizers import Tokenizer

from duck_protection.learning.plans import Told, check_same
from duck_protection.learning.shipping import check_place, save_model, save_state
from duck_protection.learning.training import Plan, Training
from duck_protection.question import Question, questions_from


def train(
    data: Sequence[Path],
    out: Path,
    work: Path,
    question: Question,
    plan: Plan,
    *,
    resume: bool = False,
    start: Optional[Path] = None,
    device: str = "cpu",
) -> Training:
    """Train to the plan's end; the best model is in out, the state and the curve in work.

    Args:
        start: Another training's state.pt, or a model's folder, whose weights are the first ones here.

    Raises:
        ValueError: out is there and is no model's folder, or the state to go on from is of another training; nothing
            has been written.
    """
    from tqdm import tqdm

    check_place(out)
    state_file = work / "state.pt"
    resumes = resume and state_file.exists()
    first = _first(start) if start is not None and not resumes else None
    training = Training(data, question, plan, first, device)
    told = {**training.told(), "start": "" if start is None else str(start.resolve())}
    if resumes:
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        check_same(state.get("plan", {}), told, state_file)
        training.restore(state)
    began, losses = time.monotonic(), []
    with tqdm(total=plan.steps, initial=training.step, unit="step", mininterval=10, smoothing=0.02) as bar:
        while training.step < plan.steps:
            losses.append(training.advance())
            bar.update(1)
            bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}", refresh=False)
            if training.step % plan.check_every == 0 or training.step == plan.steps:
                row = {"step": training.step, "loss": sum(losses) / len(losses), **training.check()}
                row["minutes"] = (time.monotonic() - began) / 60
                losses = []
                _keep(training, row, out, work, told)
                bar.write(json.dumps({key: round(value, 4) for key, value in row.items()}))
    return training


def _first(start: Path) -> Dict[str, Any]:
    """What another training left: its state, or the model that it shipped, which has no tutor."""
    if not start.is_dir():
        state: Dict[str, Any] = torch.load(start, map_location="cpu", weights_only=True)
        return state
    tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    return {"model": load_file(start / "model.safetensors"), "tokenizer": tokenizer.to_str()}


def _keep(training: Training, row: Dict[str, float], out: Path, work: Path, told: Told) -> None:
    """Remember what was measured; save the model when it is the best so far, before the state that knows of it."""
    training.curve.append(row)
    if row["validation_loss"] <= min(one["validation_loss"] for one in training.curve):
        start = Path(told["start"])  # of no start, "" has no name
        begun_with = start.name if start.is_dir() else ""
        plan = {**asdict(training.plan), "official": training.batches.official, "begun_with": begun_with}
        save_model(training.shipped(), training.tokenizer, training.question, plan, row, out)
    save_state({**training.state(), "plan": told}, work / "state.pt")
    (work / "curve.json").write_text(json.dumps(training.curve, indent=1))
    _draw(training.curve, work / "curve.png")


def _draw(curve: List[Dict[str, float]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    steps = [row["step"] for row in curve]
    left.plot(steps, [row["loss"] for row in curve], "C0-", label="loss, training frames")
    left.plot(steps, [row["validation_loss"] for row in curve], "C1-", label="loss of the verdict, validation frames")
    right.plot(steps, [100 * row["right"] for row in curve], "C2--", label="right, validation frames (%)")
    left.set(xlabel="steps", ylabel="loss", yscale="log")
    right.set(ylabel="right (%)", ylim=(50, 100))
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    figure.savefig(file, dpi=110)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description="Train the duckling.")
    parser.add_argument("--data", type=Path, nargs="+", default=[Path("data/train")], help="made by learning.render")
    parser.add_argument("--out", type=Path, default=Path("models/duckling"), help="folder of the model")
    parser.add_argument("--work", type=Path, default=Path("out/training"), help="folder of state and curve")
    parser.add_argument("--questions", type=Path, default=Path("config/questions.yaml"))
    parser.add_argument("--question", default="road")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="cpu, cuda; auto: cuda where there is one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-rate", type=float, default=Plan.peak_rate)
    start = "state.pt of another training, or a model's folder, to begin with its weights"
    parser.add_argument("--start", type=Path, help=start)
    parser.add_argument("--resume", action="store_true", help="go on where <work>/state.pt ends")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    can_compile = shutil.which("g++") is not None
    plan = Plan(args.steps, args.seed, peak_rate=args.peak_rate, compile_tower=can_compile)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    try:
        question = questions_from(yaml.safe_load(args.questions.read_text()))[args.question]
        train(args.data, args.out, args.work, question, plan, resume=args.resume, start=args.start, device=device)
    except (OSError, ValueError) as err:
        print(f"train: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
