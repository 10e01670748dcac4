"""The fault campaign: `./run faults`. Every fault in the table, several times, against the real nodes.

Answers: how long from the cause to the zero wheel command, how long from its end to driving again, and did the
wheels ever turn against promise 1? Exit status 0: every fault that could be tried here kept its promises. What
could not be tried is said, in the table too.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from fault import Fault

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from report import Row, merged, row_of, summary, write_table
from ros_processes import busy_share, ticks
from table import FAULTS
from where import before, missing

from duck_protection.recording.results import envelope, write_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUN_LIMIT_S = 150.0  # for one run of one fault, with its void repetitions
Run = Tuple[Fault, int]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./run faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="faults whose name contains this")
    parser.add_argument("--quarter", action="store_true", help="the representative quarter that CI runs")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each fault (3)")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    parser.add_argument("--keep", action="store_true", help="keep what the file says about faults not chosen now")
    parser.add_argument("--write-table", action="store_true", help="write the table into docs/safety-case.md")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    options = parser.parse_args(arguments)
    chosen = [fault for fault in FAULTS if fault.quarter or not options.quarter]
    chosen = [fault for fault in chosen if not options.only or any(part in fault.name for part in options.only)]
    if options.list or not chosen:
        print("\n".join(f"{fault.group:<12} {fault.name}" for fault in chosen) or "no fault has such a name")
        return 0 if options.list else 2
    return _run(chosen, options)


def _run(chosen: List[Fault], options: argparse.Namespace) -> int:
    begun_s, load = time.monotonic(), ticks()
    trials: List[Dict[str, Any]] = []
    for bed in dict.fromkeys(fault.bed for fault in chosen):
        runs = [(fault, seed) for fault in chosen if fault.bed == bed for seed in range(1, options.seeds + 1)]
        trials += [] if missing(bed) else _in_bed(bed, runs)
    rows = [row_of(fault, trials, missing(fault.bed)) for fault in chosen]
    busy = busy_share(load, ticks())
    print(summary(rows, time.monotonic() - begun_s, busy))
    if options.keep:
        earlier = json.loads(options.json.read_text(encoding="utf-8"))
        rows, busy = merged(rows, FAULTS, earlier["faults"]), max(busy, earlier["machine_busy_share"])
    if options.json:
        write_json(options.json, envelope("faults/1", faults=[row.as_json() for row in rows], **_totals(rows, busy)))
    if options.write_table:
        write_table(ROOT / "docs" / "safety-case.md", rows, options.seeds, busy)
    return 0 if all(row.kept for row in rows) else 1


def _totals(rows: List[Row], busy: float) -> Dict[str, Any]:
    tried = [row for row in rows if row.runs]
    return {
        "faults_tried": len(tried),
        "faults_not_tried": len(rows) - len(tried),
        "void_runs": sum(row.void for row in rows),
        "machine_busy_share": busy,
    }


def _in_bed(bed: str, runs: List[Run]) -> List[Dict[str, Any]]:
    """Every run in a bed of this kind; a bed that breaks is replaced, the run that broke it counts as failed."""
    trials: List[Dict[str, Any]] = []
    while runs:
        print(f"bed {bed}: {len(runs)} runs", flush=True)
        with tempfile.TemporaryDirectory(prefix="duck_protection_faults_") as scratch:
            status, done = _driven(bed, runs, Path(scratch))
            if status:
                _keep_logs(Path(scratch), bed)
        trials += done
        finished = {(trial["fault"], trial["seed"]) for trial in done}
        left = [run for run in runs if (run[0].name, run[1]) not in finished]
        if status == 0 and not left:
            break
        if not done:  # the bed did not even stand, or the first run broke it
            trials.append(_broken(left[0], f"the bed does not drive (exit status {status})"))
            left = left[1:]
        runs = left
    return trials


def _driven(bed: str, runs: List[Run], folder: Path) -> Tuple[int, List[Dict[str, Any]]]:
    """Exit status of drive.py, and its trials."""
    out = folder / "trials.jsonl"
    out.touch()
    lines = "\n".join(f"{fault.name}/{seed}" for fault, seed in runs)
    command = [*before(bed), sys.executable, str(HERE / "drive.py"), "--bed", bed, "--folder", str(folder)]
    process = subprocess.Popen([*command, "--out", str(out), "--runs", lines], env={**os.environ})
    try:
        status = process.wait(60.0 + RUN_LIMIT_S * len(runs))
    except subprocess.TimeoutExpired:
        process.terminate()
        status = process.wait(60.0)
    except KeyboardInterrupt:
        process.wait(60.0)  # it has heard the same signal
        raise
    return status, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def _broken(run: Run, why: str) -> Dict[str, Any]:
    return {"fault": run[0].name, "seed": run[1], "stop_s": None, "recovery_s": None, "stalled_s": 0.0, "void": False,
            "forbidden": [], "troubles": [why], "account": []}  # fmt: skip


def _keep_logs(folder: Path, bed: str) -> None:
    """For whoever looks for the cause."""
    kept = ROOT / "out" / "faults" / bed.replace(" ", "_")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore_dangling_symlinks=True, symlinks=True)
    print(f"the bed's logs: {kept.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
