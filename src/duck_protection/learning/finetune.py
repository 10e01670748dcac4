"""Fine-tunes a FastVLM that exists: on photographs beside rendered frames, whole or through LoRA adapters.

    ./run train --from models/duckling --photographs PHOTOGRAPHS:train --data data/plain data/train \
        --steps 400 --out models/duckling-photo
    ./run train --from models/duckling --photographs PHOTOGRAPHS --data data/plain --steps 400 --cross-validate
    ./run train --from /models/FastVLM-7B --lora 16 --photographs PHOTOGRAPHS:train --data data/plain --out out/7b

Answers: how much better is a model on a robot's own pictures after having seen some? Thresholds are not its matter:
./run evaluate OUT PHOTOGRAPHS:test --validation PHOTOGRAPHS:train data/plain data/train --write-thresholds .. chooses
them. Promise: the same seed gives the same batches, an interrupted tuning goes on with --resume, and <out> is written
once, whole, at the end. Photographs bring their own terms: they stand in the new model's card.
"""
from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import torch
import yaml

from duck_protection.learning import card, lessons, photographs
from duck_protection.learning.dataset import FrameSet, load
from duck_protection.learning.plans import check_same
from duck_protection.learning.shipping import OFFICIAL_TERMS, check_place, save_model, save_state
from duck_protection.learning.sources import folder_and_split
from duck_protection.learning.training import Plan
from duck_protection.learning.tuning import How, Tuning
from duck_protection.learning.tuning_batches import TuningBatches
from duck_protection.question import Question, questions_from
from duck_protection.recording.results import write_json
from duck_protection.vlm.base import VlmError
from duck_protection.vlm.checkpoints import Checkpoint, load_checkpoint

COMPILED_FROM = 100  # steps: the duckling's tower is compiled in 45 s, and a step took 1.3 s then, before 1.9

CARD = """# {name}

{base} (revision {revision}), fine-tuned by `./run train --from` on {what}. Same class, tower, prompt and answers as the
model that it comes from, whose card describes them.

- **Question** `{question}`: {prompt} Answers: {words}.
- **Input**: {side} x {side} pixels, the camera's picture padded to a square with black.
- **Training**: {steps} steps of {batch} pictures, seed {seed}, peak rate {rate:g}, {trained:,} numbers trained{how}.
- **Terms**: {terms}
- **Limits**: measure before driving (`./run evaluate`), and drive only with a threshold record for exactly this
  revision.

## Measured

{begin}
Nothing yet.
{end}
"""
RENDERED_TERMS = "those of the model that it comes from."
PHOTO_TERMS = """trained on photographs besides, whose terms hold too. Duckietown's object-detection pictures of 2018
  (ETH Zurich autolab; public in duckietown-ethz/proj-lfivop-ml, boxes from ldw200012/YOLOV5_DuckieBot) are under the
  Duckietown Software Terms of Use v1.2: personal, class and research use with acknowledgement, **no commercial use**.
  The pictures themselves are not part of this project. For photographs of your own, write your own terms here."""


def tune(tuning: Tuning, work: Path, resume: bool = False) -> Tuning:
    """Tune to the plan's end, with a progress bar; state and curve are in work.

    Raises:
        ValueError: The state to go on from is of another tuning.
    """
    from tqdm import tqdm

    state_file, began, losses, told = work / "state.pt", time.monotonic(), [], tuning.told()
    if resume and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        check_same(state.get("plan", {}), told, state_file)
        tuning.restore(state)
    with tqdm(total=tuning.plan.steps, initial=tuning.step, unit="step", mininterval=10, smoothing=0.02) as bar:
        while tuning.step < tuning.plan.steps:
            losses.append(tuning.advance())
            bar.update(1)
            bar.set_postfix(loss=f"{sum(losses[-20:]) / len(losses[-20:]):.3f}", refresh=False)
            if tuning.step % tuning.plan.check_every == 0 or tuning.step == tuning.plan.steps:
                row = {"step": tuning.step, "loss": sum(losses) / len(losses), **tuning.check()}
                tuning.curve.append({**row, "minutes": (time.monotonic() - began) / 60})
                losses = []
                save_state({**tuning.state(), "plan": told}, state_file)
                write_json(work / "curve.json", {"curve": tuning.curve})
                bar.write(json.dumps({key: round(value, 4) for key, value in tuning.curve[-1].items()}))
    return tuning


def ship(tuning: Tuning, checkpoint: Checkpoint, question: Question, out: Path, seen: Optional[FrameSet]) -> None:
    """The tuned model as a folder that the engine loads, and the adapters beside their state."""
    plan = tuning.plan
    model = tuning.merged()
    text = CARD.format(
        name=out.name, base=checkpoint.name, revision=checkpoint.revision, question=question.key,
        prompt=question.prompt, words=", ".join(question.words), side=checkpoint.side_px, steps=plan.steps,
        batch=plan.batch, seed=plan.seed, rate=plan.peak_rate, trained=tuning.trained_numbers, what=_told(seen),
        terms=" ".join(_terms(seen, tuning.batches.official)),
        how=f" through LoRA adapters of rank {tuning.how.rank}" if tuning.how.rank else "",
        begin=card.BEGIN, end=card.END,
    )  # fmt: skip
    settings = {"steps": plan.steps, "batch": plan.batch, "seed": plan.seed, "sizes": {"side_px": checkpoint.side_px}}
    save_model(model, checkpoint.tokenizer, question, settings, {}, out, text)


def _terms(seen: Optional[FrameSet], official: bool) -> List[str]:
    photographs = PHOTO_TERMS if seen else RENDERED_TERMS
    return [photographs, f"Besides, {OFFICIAL_TERMS}"] if official else [photographs]


def _told(seen: Optional[FrameSet]) -> str:
    if seen is None:
        return "rendered frames"
    robots = sorted({str(label.get("robot", "unknown")) for label in seen.labels})
    return f"rendered frames and {len(seen.training())} photographs (robots {', '.join(robots)})"


def start(args: argparse.Namespace, question: Question, seen: Optional[FrameSet]) -> Tuple[Checkpoint, Tuning]:
    """A fresh checkpoint and a tuning of it."""
    whole = not args.lora
    checkpoint = load_checkpoint(args.start_from, args.device, "float32" if whole else "auto")
    rendered = load(*args.data) if args.data else None
    batches = TuningBatches(rendered, seen, question, checkpoint.tokenizer, checkpoint.side_px,
                            checkpoint.image_tokens, args.batch, args.seed,
                            lessons.TURNS if whole else lessons.ANSWERED)  # fmt: skip
    worth_it = args.steps >= COMPILED_FROM and checkpoint.model.device.type == "cpu" and shutil.which("g++") is not None
    plan = Plan(args.steps, args.seed, args.batch, args.peak_rate, warm_up=max(1, args.steps // 20), weight_decay=0.01,
                check_every=max(1, args.steps // 4), check_frames=160, compile_tower=worth_it)  # fmt: skip
    return checkpoint, Tuning(checkpoint, batches, plan, How(args.lora, args.frozen_stages))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; the exit status."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        question = questions_from(yaml.safe_load(args.questions.read_text()))[args.question]
        if args.cross_validate:
            from duck_protection.learning.cross_validation import cross_validate

            cross_validate(args, question)
            return 0
        check_place(args.out)
        seen = photographs.taught(*folder_and_split(args.photographs), args.robots) if args.photographs else None
        checkpoint, tuning = start(args, question, seen)
        tune(tuning, args.work, args.resume)
        tuning.save_adapters(args.work / "adapters")
        ship(tuning, checkpoint, question, args.out, seen)
    except (VlmError, OSError, ValueError) as err:
        print(f"train: {err}", file=sys.stderr)
        return 1
    print(f"{args.out} needs a threshold record before it drives: ./run evaluate {args.out} DATA --validation DATA "
          "--write-thresholds config/thresholds.yaml")  # fmt: skip
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "./run train --from", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="start_from", required=True, metavar="MODEL", help="folder or hub name")
    parser.add_argument("--photographs", metavar="FOLDER[:SPLIT]", help="with labels.jsonl (docs/training.md)")
    parser.add_argument("--robots", nargs="+", default=[], help="only photographs of these; default: all")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="rendered frames, made by ./run data")
    parser.add_argument("--out", type=Path, default=Path("models/duckling-photo"), help="%(default)s")
    parser.add_argument("--work", type=Path, default=Path("out/tuning"), help="folder of state and curve; %(default)s")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peak-rate", type=float, default=3e-4)
    parser.add_argument("--lora", type=int, default=0, metavar="RANK", help="adapters in the text model alone; 0: none")
    parser.add_argument("--frozen-stages", type=int, default=How.frozen_stages, help="of the tower; %(default)s")
    parser.add_argument("--cross-validate", action="store_true", help="hold out one robot after the other, and report")
    parser.add_argument("--forgive", type=float, default=0.0, help="as ./run evaluate's, for the folds' thresholds")
    parser.add_argument("--resume", action="store_true", help="go on where <work>/state.pt ends")
    parser.add_argument("--questions", type=Path, default=Path("config/questions.yaml"))
    parser.add_argument("--question", default="road")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
