"""One run of one fault: drive, strike, watch, make good, watch, measure.

Promise: all times are monotonic and measured here, outside the nodes. A run in which this process itself was held
up for more than 50 ms is void: it says nothing about the nodes.
"""
from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, List, Optional

from fault import Evidence, Fault
from ledger import Window, forbidden, halted, recovery_s, stop_s

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rostest"))
from stall_guard import StallGuard

STOP_LIMIT_S = 0.5  # promise 2
BACK_LIMIT_S = 5.0
BEFORE_S = 0.35  # of driving in the ledger before the cause
LOOK_S = 0.02


@dataclass(frozen=True)
class Trial:
    """What came out. Seconds are None where nothing was seen."""

    fault: str
    seed: int
    stop_s: Optional[float] = None
    recovery_s: Optional[float] = None
    stalled_s: float = 0.0
    void: bool = False
    forbidden: List[str] = field(default_factory=list)
    troubles: List[str] = field(default_factory=list)


def tried(bed: Any, fault: Fault, seed: int) -> Trial:
    """Runs the fault once. The bed drives before; afterwards it may or may not."""
    rng = Random(f"{fault.name}/{seed}")
    steps = fault.cause(bed, rng)
    next(steps)
    try:
        with StallGuard() as guard:
            window = _struck(bed, fault, steps, rng)
            _await_recovery(bed, window)
    finally:
        steps.close()
    return _measured(bed, fault, seed, window, guard)


def _struck(bed: Any, fault: Fault, steps: Any, rng: Random) -> Window:
    bed.ledger.clear()
    time.sleep(BEFORE_S + rng.uniform(0, 0.1))  # the camera's and the guard's phase
    begun_s = time.monotonic()
    blow = next(steps, fault) is fault
    if blow:
        return Window(begun_s, begun_s, fault.lies)
    time.sleep(max(0.0, begun_s + fault.hold_s * rng.uniform(1.0, 1.25) - time.monotonic()))
    ended_s = time.monotonic()
    next(steps, None)
    return Window(begun_s, ended_s, fault.lies)


def _await_recovery(bed: Any, window: Window) -> None:
    limit_s = window.ended_s + BACK_LIMIT_S + 1.0
    while time.monotonic() < limit_s:
        stopped = stop_s(bed.ledger, window, STOP_LIMIT_S)
        seen_out = time.monotonic() > window.ended_s + STOP_LIMIT_S + 0.2
        if seen_out and recovery_s(bed.ledger, window, stopped) is not None:
            return
        time.sleep(LOOK_S)


def _measured(bed: Any, fault: Fault, seed: int, window: Window, guard: StallGuard) -> Trial:
    stopped = stop_s(bed.ledger, window, STOP_LIMIT_S)
    back = recovery_s(bed.ledger, window, stopped)
    troubles = []
    if fault.evidence is Evidence.LOST and (stopped is None or stopped > STOP_LIMIT_S):
        troubles.append("no lasting zero" if stopped is None else f"zero after {stopped:.3f} s")
    if fault.evidence is Evidence.KEPT and halted(bed.ledger, window):
        troubles.append("stopped without need")
    if back is None or back > BACK_LIMIT_S:
        troubles.append("did not drive again" if back is None else f"drove again after {back:.3f} s")
    found = forbidden(bed.ledger, window)
    return Trial(fault.name, seed, stopped, back, guard.worst_s, guard.stalled, found, troubles)
