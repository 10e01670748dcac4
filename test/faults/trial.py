"""One run of one fault: drive, strike, watch, make good, watch, measure.

Promise: all times are monotonic and measured here, outside the nodes. A run in which this process itself was held
up for more than 50 ms, from just before the cause until the wheels turned again, is void: it says nothing about the
nodes. What broke a promise comes with an account of what was seen around it.
"""
from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, List, Optional, Tuple

from account import account
from fault import Evidence, Fault
from ledger import Motion, Window, forbidden, halted_s, recovery_s, stop_s

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rostest"))
from stall_guard import STALL_S, StallGuard

STOP_LIMIT_S = 0.5  # promise 2
BACK_LIMIT_S = 5.0
BEFORE_S = 0.35  # of driving in the ledger before the cause
LOOK_S = 0.02


@dataclass(frozen=True)
class Trial:
    """What came out. Seconds are None where nothing was seen. account: lines about the first broken promise."""

    fault: str
    seed: int
    stop_s: Optional[float] = None
    recovery_s: Optional[float] = None
    stalled_s: float = 0.0
    void: bool = False
    forbidden: List[str] = field(default_factory=list)
    troubles: List[str] = field(default_factory=list)
    account: List[str] = field(default_factory=list)


def tried(bed: Any, fault: Fault, seed: int) -> Trial:
    """Runs the fault once. The bed drives before; afterwards it may or may not."""
    rng = Random(f"{fault.name}/{seed}")
    steps = fault.cause(bed, rng)
    next(steps)
    bed.ledger.clear()
    try:
        with StallGuard() as guard:
            begun_s, blow = _struck(fault, steps, rng)
            ended_s = begun_s if blow else _held(begun_s + fault.hold_s * rng.uniform(1.0, 1.25))
            next(steps, None)
            window = Window(begun_s, ended_s, fault.lies)
            _await_recovery(bed, window)
    finally:
        steps.close()
    return _measured(bed, fault, seed, window, guard.worst_s)


def _struck(fault: Fault, steps: Any, rng: Random) -> Tuple[float, bool]:
    """When the cause began, and whether it was a blow; returns when the wheels must stand."""
    time.sleep(BEFORE_S + rng.uniform(0, 0.1))  # the camera's and the guard's phase
    begun_s = time.monotonic()
    blow = next(steps, fault) is fault
    time.sleep(max(0.0, begun_s + STOP_LIMIT_S + 0.1 - time.monotonic()))
    return begun_s, blow


def _held(until_s: float) -> float:
    """Now, when the cause has lasted long enough."""
    time.sleep(max(0.0, until_s - time.monotonic()))
    return time.monotonic()


def _await_recovery(bed: Any, window: Window) -> None:
    limit_s = window.ended_s + BACK_LIMIT_S + 1.0
    while time.monotonic() < limit_s:
        stopped = stop_s(bed.ledger, window, STOP_LIMIT_S)
        seen_out = time.monotonic() > window.ended_s + STOP_LIMIT_S + 0.2
        if seen_out and recovery_s(bed.ledger, window, stopped) is not None:
            return
        time.sleep(LOOK_S)


def _measured(bed: Any, fault: Fault, seed: int, window: Window, stalled_s: float) -> Trial:
    stopped = stop_s(bed.ledger, window, STOP_LIMIT_S)
    back = recovery_s(bed.ledger, window, stopped)
    troubles = []
    if fault.evidence is Evidence.LOST and (stopped is None or stopped > STOP_LIMIT_S):
        troubles.append("no lasting zero" if stopped is None else f"zero after {stopped:.3f} s")
    halt_s = halted_s(bed.ledger, window) if fault.evidence is Evidence.KEPT else None
    if halt_s is not None:
        troubles.append("stopped without need")
    if back is None or back > BACK_LIMIT_S:
        troubles.append("did not drive again" if back is None else f"drove again after {back:.3f} s")
    found = forbidden(bed.ledger, window)
    lines = _account(bed, window, found, halt_s) if found or troubles else []
    told = [f"{motion.mono_s - window.begun_s:.3f} s after the cause: {motion.why}" for motion in found]
    return Trial(fault.name, seed, stopped, back, stalled_s, stalled_s > STALL_S, told, troubles, lines)


def _account(bed: Any, window: Window, found: List[Motion], halt_s: Optional[float]) -> List[str]:
    """Around the first forbidden motion; else around the first needless zero; else around the cause's end."""
    at_s = found[0].mono_s if found else window.ended_s if halt_s is None else halt_s
    wall_ahead_s = time.time() + bed.camera.clock_s - time.monotonic()
    return account(bed.ledger, window, at_s, bed.driver_log, wall_ahead_s)
