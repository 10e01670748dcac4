"""When was a judged frame taken, by this machine's clock?

A verdict says how old its frame was when it was made, robot's clock and ours apart (clocks.py). The steady tick repeats
it unchanged, age included. Promise: a repeated verdict's frame is as old as it is, never as young as it says.
"""
from __future__ import annotations

from typing import Optional


class Births:
    """Of one robot's verdicts, told in the order in which they come."""

    def __init__(self) -> None:
        self._stamp_s: Optional[float] = None
        self._born_s = 0.0

    def born_s(self, stamp_s: float, heard_s: float, age_ms: float) -> float:
        """Our wall clock when the frame was taken; 0: no frame.

        Args:
            stamp_s: Of the frame, by the robot's clock; 0: the verdict is about none.
            heard_s: Our wall clock when the verdict came.
            age_ms: As the verdict says.
        """
        if not stamp_s > 0:
            return 0.0
        if stamp_s != self._stamp_s:
            self._stamp_s = stamp_s
            self._born_s = heard_s - (age_ms / 1e3 if 0 <= age_ms < 1e6 else 0.0)
        return self._born_s
