"""One bed and its faults, in a process of its own: `campaign.py` starts it, once for each bed.

Writes a JSON line for each run, void ones included, into --out. Exit status 3: the bed does not drive any more, and
what is missing in --out has not been tried.
"""
from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from beds import Bed, NotDrivingError, standing
from fault import Fault
from table import FAULTS
from trial import Trial, tried

TRIES = 6  # void runs are repeated up to this often
BROKEN = 3
PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def main() -> int:
    """The process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bed", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", required=True, help="fault/seed, one a line")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    logging.raiseExceptions = False  # the witness's own log is on the disk that is filled
    known = {fault.name: fault for fault in FAULTS}
    status = 0
    with options.out.open("a", encoding="utf-8") as out, ExitStack() as stack:
        try:
            bed = standing(options.bed, options.folder, stack)
            for line in options.runs.splitlines():
                name, seed = line.rsplit("/", 1)
                _repeated(bed, known[name], int(seed), out)
        except NotDrivingError as err:
            print(f"  bed {options.bed}: {err}", flush=True)
            status = BROKEN
    sys.stdout.flush()
    os._exit(status)  # rospy's threads need not be waited for


def _repeated(bed: Bed, fault: Fault, seed: int, out: TextIO) -> None:
    """Until a run counts, or TRIES have been void."""
    for _ in range(TRIES):
        bed.drive()
        trial = tried(bed, fault, seed)
        out.write(json.dumps(dataclasses.asdict(trial)) + "\n")
        out.flush()
        print("\n        ".join([f"  {_story(trial)}", *trial.account]), flush=True)
        if not trial.void:
            return


def _story(trial: Trial) -> str:
    zero = "no zero" if trial.stop_s is None else f"zero {trial.stop_s:.3f} s"
    back = "not back" if trial.recovery_s is None else f"back {trial.recovery_s:.2f} s"
    more = [f"VOID ({trial.stalled_s:.3f} s)"] if trial.void else []
    more += [*trial.troubles, *trial.forbidden[:1]]
    return f"{trial.fault:<40} {trial.seed:>3}  {zero:<12}  {back:<12}  {'; '.join(more)}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
