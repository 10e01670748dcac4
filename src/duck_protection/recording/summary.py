"""A drive in numbers: how many frames were judged, how fast, which stops were right, which ducks were hit.

A stop is a standstill that a STOP brought about; true, where a duck counted at that time (true level SLOW or STOP),
else false. A standstill for any other reason (UNKNOWN: late, missing, unsure) is a halt. Promise: the numbers come
from distinct frames and from what was heard, never from what was asked for.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np

from duck_protection.recording.drive import Drive, Heard, Moment
from duck_protection.verdict import Level

STILL_MPS = 0.005
MOVING_MPS = 0.02
APART_M = 0.05  # standstills nearer to one another are one: the robot crept on a little
LOOK_BACK_S = 0.8  # from the judged frame to standstill: judging, 0.15 s of actuation delay, the roll


@dataclass(frozen=True)
class Standstill:
    """The robot came to rest. cause: STOP, or UNKNOWN for everything else."""

    stamp_s: float
    cause: Level
    duck: bool  # one counted at that time
    nearest_m: Optional[float]


@dataclass(frozen=True)
class Summary:
    """Times in milliseconds; None where there was nothing to measure."""

    seconds: float
    metres: float
    frames_judged: int
    verdicts_per_s: float
    frame_to_verdict_p50_ms: Optional[float]
    frame_to_verdict_p95_ms: Optional[float]
    oldest_evidence_ms: Optional[float]  # the greatest age that the newest judged frame ever had
    levels_right: Optional[float]  # share of judged frames whose level is the true one, 0 to 1
    stop_judged_clear: int
    stops: int
    false_stops: int
    halts: int
    ducks_met: int
    ducks_hit: int
    flank_hits: int


def standstills(drive: Drive) -> List[Standstill]:
    """Each time that the robot came to rest after it had moved, in order."""
    found: List[Standstill] = []
    moving, rest_m = False, -APART_M
    for index, moment in enumerate(drive.moments):
        if abs(moment.speed_mps) > MOVING_MPS and moment.travelled_m - rest_m >= APART_M:
            moving = True
        elif moving and abs(moment.speed_mps) < STILL_MPS:
            moving, rest_m = False, moment.travelled_m
            found.append(_standstill(drive, index))
    return found


def _standstill(drive: Drive, index: int) -> Standstill:
    here = drive.moments[index]
    recent = [m for m in drive.moments[max(0, index - 100) : index + 1] if m.stamp_s >= here.stamp_s - LOOK_BACK_S]
    stopped = any(drive.in_force(moment.stamp_s).level is Level.STOP for moment in recent)
    duck = any(moment.level in (Level.SLOW, Level.STOP) for moment in recent)
    return Standstill(here.stamp_s, Level.STOP if stopped else Level.UNKNOWN, duck, here.nearest_m)


def summarise(drive: Drive) -> Summary:
    """The drive in numbers; all zero and None for an empty one."""
    moments, stills = drive.moments, standstills(drive)
    seconds = moments[-1].stamp_s - moments[0].stamp_s if moments else 0.0
    delays_ms, right, missed = _judged(drive)
    ages_s = [force.age_s for force in map(drive.in_force, (m.stamp_s for m in moments)) if force.age_s is not None]
    return Summary(
        seconds=round(seconds, 2),
        metres=round(_rise(moments, "travelled_m"), 2),
        frames_judged=len(delays_ms),
        verdicts_per_s=round(len(delays_ms) / seconds, 2) if seconds > 0 else 0.0,
        frame_to_verdict_p50_ms=_percentile(delays_ms, 50),
        frame_to_verdict_p95_ms=_percentile(delays_ms, 95),
        oldest_evidence_ms=round(1e3 * max(ages_s), 1) if ages_s else None,
        levels_right=round(float(np.mean(right)), 4) if right else None,
        stop_judged_clear=missed,
        stops=sum(still.cause is Level.STOP for still in stills),
        false_stops=sum(still.cause is Level.STOP and not still.duck for still in stills),
        halts=sum(still.cause is not Level.STOP for still in stills),
        ducks_met=int(_rise(moments, "ducks_met")),
        ducks_hit=int(_rise(moments, "ducks_hit")),
        flank_hits=int(_rise(moments, "flank_hits")),
    )


def _judged(drive: Drive) -> Tuple[List[float], List[bool], int]:
    """For each distinct judged frame: milliseconds from stamp to hearing, whether right; and STOPs judged CLEAR."""
    truth: Dict[float, Level] = {moment.stamp_s: moment.level for moment in drive.moments}
    first: Dict[float, Heard] = {}
    for heard in drive.verdicts:
        if heard.judged:
            first.setdefault(heard.stamp_s, heard)
    known = [(heard.level, truth[stamp_s]) for stamp_s, heard in first.items() if stamp_s in truth]
    delays_ms = [1e3 * (heard.heard_s - heard.stamp_s) for heard in first.values()]
    missed = sum(said is Level.CLEAR and true is Level.STOP for said, true in known)
    return delays_ms, [said is true for said, true in known], missed


def _rise(moments: List[Moment], name: str) -> float:
    return float(getattr(moments[-1], name) - getattr(moments[0], name)) if moments else 0.0


def _percentile(values: List[float], rank: float) -> Optional[float]:
    return round(float(np.percentile(values, rank)), 1) if values else None
