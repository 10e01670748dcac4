"""The log of a drive: what was seen, what was judged, what was true, in the order in which it was heard.

Answers: which verdict was in force at a moment? Times are the wall clock's seconds, the one that stamps frames.
Promise: a verdict whose frame is older than the governor's max_age_s, or none at all, is in force as UNKNOWN, as
the governor has it; nothing here is ever drawn more hopeful than the wheels were allowed to be.
"""
from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

from duck_protection.verdict import Level

MAX_AGE_S = 0.40  # governor.Limits.max_age_s, unless it was told another


@dataclass(frozen=True)
class Moment:
    """The truth at one camera frame. Metres from the front bumper along the path; None: no duck in the way."""

    stamp_s: float
    level: Level
    nearest_m: Optional[float]
    speed_mps: float
    command_mps: float
    travelled_m: float
    ducks_met: int
    ducks_hit: int
    flank_hits: int


@dataclass(frozen=True)
class Heard:
    """One verdict as it arrived. No probabilities: nothing was read from a frame."""

    heard_s: float
    stamp_s: float
    level: Level
    reason: str
    choices: Tuple[str, ...] = ()
    probabilities: Tuple[float, ...] = ()

    @property
    def judged(self) -> bool:
        return bool(self.probabilities) and self.stamp_s > 0


@dataclass(frozen=True)
class InForce:
    """What permits motion at a moment."""

    level: Level
    reason: str
    age_s: Optional[float]  # of the judged frame; None: no frame
    heard: Optional[Heard]


@dataclass
class Drive:
    """Grows while the drive goes on. One thread at a time."""

    moments: List[Moment] = field(default_factory=list)
    verdicts: List[Heard] = field(default_factory=list)
    _heard_s: List[float] = field(default_factory=list)

    def see(self, moment: Moment) -> None:
        """Takes the truth of the next frame."""
        self.moments.append(moment)

    def hear(self, heard: Heard) -> None:
        """Takes the next verdict."""
        self.verdicts.append(heard)
        self._heard_s.append(heard.heard_s)

    def in_force(self, at_s: float) -> InForce:
        """What was in force at this moment."""
        count = bisect.bisect_right(self._heard_s, at_s)
        return force_of(self.verdicts[count - 1] if count else None, at_s)


def force_of(heard: Optional[Heard], at_s: float, max_age_s: float = MAX_AGE_S) -> InForce:
    """What is in force at this moment when this was heard last; None: nothing was."""
    if heard is None:
        return InForce(Level.UNKNOWN, "start: no verdict yet", None, None)
    age_s = at_s - heard.stamp_s if heard.stamp_s > 0 else None
    if heard.level in (Level.CLEAR, Level.SLOW) and not (age_s is not None and age_s < max_age_s):
        return InForce(Level.UNKNOWN, "old: the newest judged frame is too old", age_s, heard)
    return InForce(heard.level, heard.reason, age_s, heard)
