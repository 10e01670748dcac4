"""What a bigger duckling sees better: `./run bench sizes --data data/mixed`.

Answers: at which share of frames is the level right, and how many STOPs are read as CLEAR, when the same weights learn
on from the same frames for the same number of steps, with a coarser and a finer picture, and with more blocks in the
tower? So what does the next step in size buy, and what does it cost? Frames kept back from training are measured; the
times are taken at the end, all sizes in turn. A size that was trained already is not trained again (--work). Asserts
nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch
import yaml
from showing import heading, tell

from duck_protection.frames import decode
from duck_protection.learning.dataset import load, near_limit
from duck_protection.learning.evaluation import read
from duck_protection.learning.marking import likeliest
from duck_protection.learning.scores import Count
from duck_protection.learning.thin import DUCKLING, STRIDE_PX, Sizes
from duck_protection.learning.train import train
from duck_protection.learning.training import Plan
from duck_protection.question import Question, questions_from
from duck_protection.recording.results import envelope
from duck_protection.verdict import Level
from duck_protection.vlm.fastvlm import FastVlm

ROOT = Path(__file__).resolve().parent.parent
TIMED = 60  # frames, each another one: what was seen of the last one is kept for its next question
LIMIT_MB, LIMIT_MS = 20, 40  # what a duckling may weigh, and take for one verdict on two cores
CURVES = {"stop_recall": "STOP read as STOP", "right_away_from_limits": "level right, 5 cm from limits",
          "right": "level right"}  # fmt: skip


def base_of(model: Path) -> Sizes:
    """What this model's tower has: blocks in each stage, and pixels to look at."""
    config, eye = (json.loads((model / f"{name}config.json").read_text()) for name in ("", "preprocessor_"))
    layers = tuple(config["vision_config"]["model_args"]["layers"])
    return replace(DUCKLING, layers=layers, side_px=eye["size"]["shortest_edge"])


def sizes_of(base: Sizes) -> Dict[str, Sizes]:
    """By name: a picture of three quarters and of five quarters of the side, in whole visual tokens, and a tower half
    as deep again (a single block stays single)."""
    token = STRIDE_PX
    return {
        "coarser picture": replace(base, side_px=base.side_px * 3 // 4 // token * token),
        "as it is": base,
        "finer picture": replace(base, side_px=-(-base.side_px * 5 // 4 // token) * token),
        "deeper tower": replace(base, layers=tuple(blocks + blocks // 2 for blocks in base.layers)),
    }


def measure(model: Path, data: List[Path], question: Question) -> Dict[str, Any]:
    """The engine's readings of what training kept back."""
    vlm, frames = FastVlm(str(model), "cpu"), load(*data)
    numbers = frames.validation().tolist()
    readings = read(vlm, frames, numbers, question)
    said = [likeliest(one, question) for one in readings]
    right = [level is one.truth for level, one in zip(said, readings)]
    near = [near_limit(frames.labels[number]) for number in numbers]
    stops = [level for level, one in zip(said, readings) if one.truth is Level.STOP]
    clears = [level for level, one in zip(said, readings) if one.truth is Level.CLEAR]
    counts = {
        "right_away_from_limits": Count(sum(ok for ok, close in zip(right, near) if not close), near.count(False)),
        "right": Count(sum(right), len(right)), "stop_recall": Count(stops.count(Level.STOP), len(stops)),
        "stop_read_clear": Count(stops.count(Level.CLEAR), len(stops)),
        "clear_read_stop": Count(clears.count(Level.STOP), len(clears)),
    }  # fmt: skip
    return {"counts": {name: count.plain() for name, count in counts.items()},
            "megabytes": (model / "model.safetensors").stat().st_size / 1e6}  # fmt: skip


def verdict_ms(models: List[Path], data: List[Path], question: Question) -> List[float]:
    """Each model's time for one frame, p50 in ms: all read the same frames in turn, so that a busy minute is shared."""
    frames, vlms = load(*data), [FastVlm(str(model), "cpu") for model in models]
    jpegs = [frames.files[number].read_bytes() for number in frames.validation()[: TIMED + 1].tolist()]
    took = [[_verdict_ms(vlm, jpeg, question) for vlm in vlms] for jpeg in jpegs]
    return [float(p50) for p50 in np.median(took[1:], axis=0)]


def _verdict_ms(vlm: FastVlm, jpeg: bytes, question: Question) -> float:
    """From JPEG bytes to probabilities."""
    began = time.perf_counter()
    vlm.choose([decode(jpeg)], [question])
    return 1000 * (time.perf_counter() - began)


def learn(name: str, sizes: Sizes, options: argparse.Namespace, question: Question) -> Dict[str, Any]:
    """One size: trained and measured, or taken from an earlier run of the same plan; and its model's folder."""
    weights = hashlib.sha256((options.model / "model.safetensors").read_bytes()).hexdigest()
    plan_of = [weights, options.steps, options.peak_rate, *(str(folder.resolve()) for folder in options.data)]
    known = hashlib.sha256(repr(plan_of).encode()).hexdigest()[:8]
    work = options.work / f"{sizes.side_px}_{'-'.join(map(str, sizes.layers))}_{known}"
    done = work / "row.json"
    if not done.exists():
        work.mkdir(parents=True, exist_ok=True)
        can_compile = shutil.which("g++") is not None
        plan = Plan(options.steps, peak_rate=options.peak_rate, sizes=sizes, compile_tower=can_compile)
        print(f"{name}: {sizes.side_px} pixels, blocks {sizes.layers}")
        training = train(options.data, work / "model", work, question, plan, resume=True, start=options.model)
        parameters = sum(one.numel() for one in training.model.parameters())
        row = {"size": name, "side_px": sizes.side_px, "layers": sizes.layers, "parameters": parameters,
               "validation_loss": min(one["validation_loss"] for one in training.curve),
               **measure(work / "model", options.data, question)}  # fmt: skip
        done.write_text(json.dumps(row))
    found: Dict[str, Any] = json.loads(done.read_text())
    return {**found, "folder": str(work / "model")}


def shown(result: Dict[str, Any]) -> str:
    """For people, at most 100 columns."""
    head = (f"  {'size':16}{'side px':>8}{'params':>8}{'MB':>6}{'ms':>7}{'loss':>8}{'right':>8}{'away':>8}{'STOP':>8}"
            f"{'STOP read CLEAR':>17}")  # fmt: skip
    about = f"{result['steps']} steps each from {result['model']}; limits {LIMIT_MB} MB, {LIMIT_MS} ms"
    lines = [heading(result), about, "", head]
    for row in result["sizes"]:
        of = {name: f"{count['value']:.1%}" for name, count in row["counts"].items()}
        missed = row["counts"]["stop_read_clear"]
        lines.append(
            f"  {row['size']:16}{row['side_px']:8}{row['parameters'] / 1e6:7.2f}M{row['megabytes']:6.1f}"
            f"{row['verdict_ms_p50']:7.1f}"
            f"{row['validation_loss']:8.4f}{of['right']:>8}{of['right_away_from_limits']:>8}{of['stop_recall']:>8}"
            f"{missed['hits']:>10} of {missed['of']:<4}"
        )
    return "\n".join([*lines, "", "away: of the frames in which no duck stands within 5 cm of a limit."])


def picture(result: Dict[str, Any], out: Path) -> None:
    """What a verdict costs to the right, shares with their intervals upwards."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    rows = sorted(result["sizes"], key=lambda row: row["verdict_ms_p50"])
    axis, times = figure.add_subplot(), [row["verdict_ms_p50"] for row in rows]
    for name, words in CURVES.items():
        counts = [row["counts"][name] for row in rows]
        middle, low, high = ([100 * count[key] for count in counts] for key in ("value", "low", "high"))
        reach = [[m - lo for m, lo in zip(middle, low)], [hi - m for m, hi in zip(middle, high)]]
        axis.errorbar(times, middle, yerr=reach, marker="o", capsize=3, label=words)
    for row in rows:
        called = f"{row['size']}\n{row['side_px']} px, {row['parameters'] / 1e6:.1f} M"
        foot = (row["verdict_ms_p50"], 0.02)
        axis.annotate(called, foot, xycoords=("data", "axes fraction"), ha="center", fontsize=8)
    axis.margins(x=0.12, y=0.2)
    axis.set(xlabel="one verdict on two cores (ms)", ylabel="frames (%), with 95 % intervals")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of ./run data")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "duckling", help="whose weights are the first")
    names = "coarser picture, as it is, finer picture, deeper tower"
    parser.add_argument("--sizes", default=names, help="which of them, with commas between (%(default)s)")
    parser.add_argument("--steps", type=int, default=800, help="of 16 frames, for each size")
    parser.add_argument("--peak-rate", type=float, default=1e-3)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "sizes")
    parser.add_argument("--picture", type=Path, default=ROOT / "out" / "bench_sizes.png")
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(2)
    question = questions_from(yaml.safe_load((ROOT / "config" / "questions.yaml").read_text()))["road"]
    known = sizes_of(base_of(options.model))
    chosen = [name.strip() for name in options.sizes.split(",")]
    if not set(chosen) <= set(known):
        parser.error(f"--sizes must be among {', '.join(known)}")
    rows = [learn(name, known[name], options, question) for name in chosen]
    for row, took in zip(rows, verdict_ms([Path(row["folder"]) for row in rows], options.data, question)):
        row["verdict_ms_p50"] = took
    result = envelope("duckling-sizes/1", steps=options.steps, model=options.model.name, sizes=rows)
    picture(result, options.picture)
    tell(result, shown(result), options.json)
    print(f"\nthe curve: {options.picture}")


if __name__ == "__main__":
    main()
