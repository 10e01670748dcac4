"""Which drives a campaign has, and driving them: each stage by the model, without protection, and with perfect eyes.

Knows no command line and no report (__main__.py, summary.py). Promise: drive k of campaign S is the same drive on every
machine, whatever the number of workers.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from duck_protection.episodes.drive import SLOW_MODEL, Drive, Timing, blind, perfect
from duck_protection.episodes.eyes import ModelEyes
from duck_protection.episodes.journal import Journal
from duck_protection.episodes.summary import Result, worst
from duck_protection.simulation.staging import KINDS, stage_of
from duck_protection.simulation.workers import in_order

SEEDS_APART = 1_000_000  # drive k of campaign S has the seed S * SEEDS_APART + k
SPARE_S = 0.05  # a tick

Job = Tuple[int, str, str, Timing]


def jobs_of(n: int, seed: int, model: str, timing: Timing) -> List[Job]:
    """The drives of a campaign, kinds in turn."""
    return [(seed * SEEDS_APART + k, KINDS[k % len(KINDS)], model, timing) for k in range(n)]


def timing_of(model_s: float, camera_hz: float = Timing.camera_hz) -> Timing:
    """How long things take with a model this slow, and the governor's profile for it: a picture is in use until the
    next one is read, and both may have waited."""
    timing = Timing(model_s=model_s, camera_hz=camera_hz)
    ways_s = timing.camera_latency_s + timing.frame_delay_s + timing.reply_delay_s
    oldest_s = 2 * model_s + 1 / camera_hz + ways_s
    if oldest_s < timing.limits.max_age_s:
        return timing
    slow = SLOW_MODEL.limits
    return replace(timing, limits=replace(slow, max_age_s=max(slow.max_age_s, oldest_s + SPARE_S)))


def run_job(job: Job) -> Result:
    """Drive one stage three times."""
    seed, kind, model, timing = job
    stage = stage_of(seed, kind)
    drives = [Drive(stage, eyes, timing).run() for eyes in (ModelEyes(stage, model), blind, perfect)]
    return Result(seed, kind, stage.light, *drives)


def run_all(jobs: Sequence[Job], workers: int, journal: Optional[Journal] = None) -> List[Result]:
    """All drives, in their order, with a progress bar that says how many hits there were so far.

    Args:
        journal: Has the first ones, if they were driven already, and takes the others.
    """
    from tqdm import tqdm

    results = journal.results[: len(jobs)] if journal is not None else []
    with tqdm(total=len(jobs), initial=len(results), unit="drive") as bar:
        for result in in_order(run_job, jobs[len(results) :], workers):
            results.append(result)
            if journal is not None:
                journal.add(result)
            bar.set_postfix(hits=sum(one.avoidable for one in results), refresh=False)
            bar.update(1)
    return results


def film(results: Sequence[Result], most: int, model: str, timing: Timing, out: Path) -> List[Path]:
    """Clips of the worst drives, worst first."""
    from duck_protection.episodes.clips import clip

    files = []
    for place, one in enumerate(worst(results, most), 1):
        out.mkdir(parents=True, exist_ok=True)
        files.append(out / f"worst{place}_{one.kind}_{one.seed}.mp4")
        clip(stage_of(one.seed, one.kind), model, timing, files[-1])
    return files
