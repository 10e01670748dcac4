"""When was a judged frame taken, by this machine's clock?

A verdict says how old its frame was when it was made, robot's clock and ours apart (clocks.py). The steady tick repeats
it unchanged, age included. Promise: a repeated verdict's frame is as old as it is, never as young as it says.
"""
from __future__ import annotations

from typing import Optional

MOST_MS = 1e6  # a quarter of an hour: what says more has no idea


class Births:
    """Of one robot's verdicts, told in the order in which they come."""

    def __init__(self) -> None:
        self._stamp_s: Optional[float] = None
        self._born_s = 0.0

    def born_s(self, stamp_s: float, heard_s: float, age_ms: float) -> float:
        """Our wall clock when the frame was taken; 0: no frame, or none whose age is known.

        Args:
            stamp_s: Of the frame, by the robot's clock; 0: the verdict is about none.
            heard_s: Our wall clock when the verdict came.
            age_ms: As the verdict says; a little below 0 when the two clocks are not quite one.
        """
        if not (stamp_s > 0 and abs(age_ms) < MOST_MS):  # NaN is no age either
            return 0.0
        if stamp_s != self._stamp_s:
            self._stamp_s = stamp_s
            self._born_s = heard_s - max(0.0, age_ms / 1e3)
        return self._born_s
