"""`./run soak --minutes M`: the real nodes under a 30 Hz camera and random faults; does anything grow?

Answers for each node: resident memory, threads and file descriptors over time; for all: the age of a picture when
its verdict is heard. Faults that end a process are left out, for a new process would hide what the old one gathered.
Writes out/soak.png and, with --json, the figures. Exit status 1: something grew, or a fault broke a promise.
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Dict, List

from beds import GUARD, MODEL, PROTECTION, WATCHDOG, Bed, NotDrivingError, standing
from fault import Fault
from latency import steady_slope
from ros_processes import busy_share, rss_kb, ticks
from table import FAULTS
from trial import Trial, tried

from duck_protection.recording.results import envelope, write_json
from duck_protection.tally import quantile

ROOT = Path(__file__).resolve().parents[2]
NODES = {"model": MODEL, "protection": PROTECTION, "guard": GUARD, "watchdog": WATCHDOG}
SAMPLE_S = 5.0
PAUSE_S = 8.0  # of undisturbed driving between faults, at most
SETTLES = 0.2  # of the time: pools fill
GROWN_MB, GROWN = 8.0, 3  # more than this at the end is growth: memory of a node; threads or descriptors
LEFT_OUT = ("killed", "told to end", "without memory", "starved", "master")


class Sampler(threading.Thread):
    """Looks at the nodes every SAMPLE_S."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(daemon=True)
        self._bed = bed
        self._pids = {name: bed.pid(node) for name, node in NODES.items()}
        self._begun_s = time.monotonic()
        self._ends = threading.Event()
        self.rows: List[Dict[str, Any]] = []

    def run(self) -> None:
        """Until end()."""
        while not self._ends.wait(SAMPLE_S):
            self.rows.append(self._row())

    def end(self) -> None:
        """Before the bed is taken down."""
        self._ends.set()
        self.join()

    def _row(self) -> Dict[str, Any]:
        now_s = time.monotonic()
        row: Dict[str, Any] = {"at_s": now_s - self._begun_s, **self._ages_ms(now_s - SAMPLE_S)}
        for name, pid in self._pids.items():
            row[f"{name}_mb"] = rss_kb(pid) / 1024
            row[f"{name}_threads"] = _entries(f"/proc/{pid}/task")
            row[f"{name}_fds"] = _entries(f"/proc/{pid}/fd")
        return row

    def _ages_ms(self, since_s: float) -> Dict[str, float]:
        sent = {picture.stamp_ns: picture.mono_s for picture in list(self._bed.ledger.pictures)}
        first = {word.stamp_ns: word.mono_s for word in reversed(list(self._bed.ledger.words))}
        ages = [1e3 * (heard - sent[stamp]) for stamp, heard in first.items() if stamp in sent and heard > since_s]
        return {"age_p50_ms": quantile(ages, 0.5), "age_p95_ms": quantile(ages, 0.95)}


def _entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def soaked(bed: Bed, minutes: float) -> Dict[str, Any]:
    """The figures of so many minutes."""
    chosen = [fault for fault in FAULTS if fault.bed == "whole" and not any(word in fault.name for word in LEFT_OUT)]
    rng, before, trials = Random(1), ticks(), []
    sampler = Sampler(bed)
    sampler.start()
    ends_s = time.monotonic() + 60 * minutes
    while time.monotonic() < ends_s:
        trials.append(_disturbed(bed, rng.choice(chosen), len(trials)))
        time.sleep(rng.uniform(0, PAUSE_S))
    sampler.end()
    settled = [row for row in sampler.rows if row["at_s"] >= SETTLES * 60 * minutes]
    valid = [trial for trial in trials if not trial.void]
    troubles = [f"{trial.fault}: {trouble}" for trial in valid for trouble in [*trial.troubles, *trial.forbidden]]
    return {"minutes": minutes, "faults": len(trials), "void_runs": len(trials) - len(valid), "troubles": troubles,
            "accounts": [trial.account for trial in valid if trial.account], "growth": growth(settled),
            "machine_busy_share": busy_share(before, ticks()), "samples": sampler.rows}  # fmt: skip


def _disturbed(bed: Bed, fault: Fault, seed: int) -> Trial:
    """A bed that does not drive any more ends no soak: it counts as a broken promise, and is tried again."""
    try:
        bed.drive()
        return tried(bed, fault, seed)
    except NotDrivingError as err:
        return Trial(fault.name, seed, troubles=[str(err)])


def growth(rows: List[Dict[str, Any]]) -> Dict[str, float]:
    """By node: memory, MB an hour and over these rows; threads and descriptors, the last row against the first."""
    found: Dict[str, float] = {}
    at_s = [row["at_s"] for row in rows]
    for name in NODES:
        slope = steady_slope(at_s, [row[f"{name}_mb"] for row in rows])
        found[f"{name}_mb_per_hour"], found[f"{name}_mb"] = 3600 * slope, slope * (at_s[-1] - at_s[0])
        for kind in ("threads", "fds"):
            found[f"{name}_{kind}"] = rows[-1][f"{name}_{kind}"] - rows[0][f"{name}_{kind}"]
    return found


def flat(found: Dict[str, float]) -> bool:
    """Whether nothing grew."""
    memory = all(found[f"{name}_mb"] <= GROWN_MB for name in NODES)
    return memory and all(found[f"{name}_{kind}"] <= GROWN for name in NODES for kind in ("threads", "fds"))


def plot(rows: List[Dict[str, Any]], path: Path) -> None:
    """Four curves over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(9, 9), constrained_layout=True)
    minutes = [row["at_s"] / 60 for row in rows]
    for axis, kind, label in zip(axes, ("mb", "threads", "fds"), ("resident memory, MB", "threads", "descriptors")):
        for name in NODES:
            axis.plot(minutes, [row[f"{name}_{kind}"] for row in rows], label=name)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[0].legend(loc="lower right", ncols=4, frameon=False)
    for name, label in (("age_p50_ms", "half of them"), ("age_p95_ms", "95 %")):
        axes[3].plot(minutes, [row[name] for row in rows], label=label)
    axes[3].set_ylabel("age at the verdict, ms")
    axes[3].legend(frameon=False)
    axes[3].set_xlabel("minutes")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./run soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, default=ROOT / "out" / "soak.png")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="duck_protection_soak_")))
        result = soaked(standing("whole", folder, stack), options.minutes)
    plot(result["samples"], options.plot)
    if options.json:
        write_json(options.json, envelope("soak/1", **result))
    for name in NODES:
        found = result["growth"]
        print(f"{name:<11} {result['samples'][-1][f'{name}_mb']:6.1f} MB, grew {found[f'{name}_mb']:+.2f} MB, "
              f"threads {found[f'{name}_threads']:+.0f}, descriptors {found[f'{name}_fds']:+.0f}")  # fmt: skip
    good = flat(result["growth"]) and not result["troubles"]
    print(*result["troubles"], sep="\n")
    print(f"{'✔' if good else '✘'} {options.minutes:g} minutes, {result['faults']} faults, {result['void_runs']} void, "
          f"machine {result['machine_busy_share']:.0%} busy; {options.plot}", flush=True)  # fmt: skip
    os._exit(0 if good else 1)  # rospy's threads need not be waited for


if __name__ == "__main__":
    sys.exit(main())
