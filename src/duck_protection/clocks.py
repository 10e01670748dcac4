"""How old is a frame whose stamp was made by another machine's clock?

Answers for the workstation only, to drop and to report. What permits motion is computed on the robot, where
stamp and clock are the same. Promise: the estimate never hides more latency than the constant part that it
cannot tell from a clock offset, and beyond its bound it says so instead of guessing.
"""
from __future__ import annotations

from collections import deque
from typing import Deque, Optional, Tuple

TRUSTED_LAG_S = 0.25  # a smallest lag between 0 and this is latency, not offset: clocks count as synchronised


class OffsetEstimate:
    """The sender's clock offset as the smallest lag seen in a sliding window.

    Args:
        bound_s: A larger offset than this, either way, is no offset but a broken clock.
        window_s: How long a smallest lag is remembered, on the monotonic clock.
    """

    def __init__(self, bound_s: float, window_s: float = 10.0) -> None:
        self._bound_s = bound_s
        self._window_s = window_s
        self._lags: Deque[Tuple[float, float]] = deque()  # (mono_s, lag_s), lags rising: a sliding minimum

    def observe(self, stamp_s: float, clock_s: float, mono_s: float) -> None:
        """Takes one frame: its stamp, and our wall clock and monotonic clock when it came."""
        lag_s = clock_s - stamp_s
        while self._lags and self._lags[-1][1] >= lag_s:
            self._lags.pop()
        self._lags.append((mono_s, lag_s))
        while self._lags[0][0] < mono_s - self._window_s:
            self._lags.popleft()

    @property
    def offset_s(self) -> float:
        """What to subtract from a lag to get an age; 0 while the clocks look synchronised."""
        smallest_s = self._lags[0][1] if self._lags else 0.0
        return 0.0 if 0.0 <= smallest_s <= TRUSTED_LAG_S else smallest_s

    def age_s(self, stamp_s: float, clock_s: float) -> Optional[float]:
        """Estimated age, 0 or more, or None where the offset is beyond its bound."""
        if abs(self.offset_s) > self._bound_s:
            return None
        return max(0.0, clock_s - stamp_s - self.offset_s)

    def reset(self) -> None:
        """Forgets everything: the clock was set."""
        self._lags.clear()


class JumpDetector:
    """Notices that a wall clock was set, by comparing its progress with the monotonic clock's."""

    def __init__(self, jump_s: float) -> None:
        self._jump_s = jump_s
        self._difference_s: Optional[float] = None
        self.by_s = 0.0  # the last jump; negative: the clock was set back

    def jumped(self, clock_s: float, mono_s: float) -> bool:
        """True once for each jump of more than jump_s since the last call."""
        difference_s = clock_s - mono_s
        before_s, self._difference_s = self._difference_s, difference_s
        if before_s is None or abs(difference_s - before_s) <= self._jump_s:
            return False
        self.by_s = difference_s - before_s  # NaN jumps too
        return True
