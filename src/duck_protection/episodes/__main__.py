"""A campaign of short drives: by the model, without protection, and with perfect eyes.

    ./run episodes --n 1000 --seed 7 --json out/episodes/episodes.json

Kinds of drives in turn (simulation/staging.py), in parallel, with a progress bar, a table, and films of the worst.
An interrupted campaign goes on with --resume. Promise: the exit status is 1 when a duck was hit that perfect eyes
would have spared, or when the robot lost half of the way where no duck was, and 2 when it could not be driven; the
figures are written before the films.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional

from duck_protection.episodes import CampaignError
from duck_protection.episodes.campaign import film, jobs_of, run_all, timing_of
from duck_protection.episodes.drive import Timing
from duck_protection.episodes.eyes import ROOT
from duck_protection.episodes.journal import Journal
from duck_protection.episodes.summary import Result, summary, table
from duck_protection.recording.results import commit, envelope, write_json
from duck_protection.vlm import folders
from duck_protection.vlm.base import VlmError

MOST_LOST = 0.5  # of the way of perfect eyes: a robot that stands runs nothing over


def main(argv: Optional[List[str]] = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(prog="./run episodes", description="Drives many short drives and counts.")
    parser.add_argument("--n", type=int, default=1000, help="drives; a thousand take about an hour on two cores")
    parser.add_argument("--seed", type=int, default=7, help="of the campaign; never tune on the one you report")
    parser.add_argument("--model", default=str(ROOT / "models" / "duckling"))
    parser.add_argument("--model-s", type=float, default=0.05, help="s that the simulated model takes, 0.01 to 0.5")
    parser.add_argument("--camera-hz", type=float, default=Timing.camera_hz, help="pictures a second; %(default)g")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--clips", type=int, default=6, help="films of the worst drives")
    parser.add_argument("--out", type=Path, default=Path("out/episodes"), help="folder of the films and the journal")
    parser.add_argument("--resume", action="store_true", help="go on where <out>/drives.jsonl ends")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.n < 1 or args.workers < 1 or not 0.01 <= args.model_s <= 0.5 or not 5 <= args.camera_hz <= 60:
        parser.error("--n and --workers must be at least 1, --model-s 0.01 to 0.5, --camera-hz 5 to 60")
    timing = timing_of(args.model_s, args.camera_hz)
    began = time.monotonic()
    try:
        journal = Journal(args.out / "drives.jsonl", _plan(args.seed, args.model, timing), args.resume)
        results = run_all(jobs_of(args.n, args.seed, args.model, timing), args.workers, journal)
    except (VlmError, CampaignError, OSError, RuntimeError) as err:
        print(f"episodes: {err}", file=sys.stderr)
        return 2
    took_s = time.monotonic() - began
    numbers = summary(results)
    print(table(numbers))
    now = max(0, args.n - len(journal.results))
    which = "" if now == args.n else f", {now} of them now,"
    print(f"{args.n} drives of {timing.seconds:g} s or more{which} in {took_s:.0f} s; "
          f"model {args.model_s:g} s a frame, camera {args.camera_hz:g} Hz")  # fmt: skip
    if args.json:
        asked = {key: getattr(args, key) for key in ("model", "model_s", "camera_hz", "seed")}
        drives = [_brief(one) for one in results]
        write_json(args.json, envelope("episodes/1", **asked, wall_s=took_s, driven_now=now, **numbers, drives=drives))
    try:
        for file in film(results, args.clips, args.model, timing, args.out):
            print(file)
    except (OSError, RuntimeError) as err:  # the figures stand without them
        print(f"episodes: no films: {err}", file=sys.stderr)
    stood = numbers["time_lost"] > MOST_LOST
    if stood:
        print(f"the robot lost {numbers['time_lost']:.0%} of the way where no duck was near it: this proves nothing")
    return 1 if numbers["hits"] or stood else 0


def _plan(seed: int, model: str, timing: Timing) -> Dict[str, Any]:
    """What makes two campaigns' drives the same."""
    folder = Path(model).expanduser()
    weights = folders.fingerprint(folders.weight_files(folder)) if folder.is_dir() else model
    asked = folders.fingerprint([ROOT / "config" / name for name in ("questions.yaml", "thresholds.yaml")])
    return {"seed": seed, "weights": weights, "config": asked, "timing": asdict(timing), "commit": commit()}


def _brief(one: Result) -> Dict[str, Any]:
    guarded = one.guarded
    return {
        "stage": f"{one.kind}:{one.seed}",
        "light": one.light,
        "hits": guarded.hits,
        "ideal_hits": one.ideal.hits,
        "flank_hits": guarded.flank_hits,
        "closest_m": guarded.closest_m,
        "lost_m": one.lost_m,
        "false_stops": guarded.false_stops,
    }


if __name__ == "__main__":
    sys.exit(main())
