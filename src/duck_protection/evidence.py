"""Is this frame evidence? Only a distinct picture, with a later stamp that can be true, and young enough, is.

Answers for the workstation, before a frame is shown to the model. Reads no clock and no pixels: times and the
picture's digest are passed in. Promise: any stamp whatsoever gets an answer, one bad frame never spoils the
good ones after it, and a camera that repeats one picture under new stamps brings no evidence.
"""
from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Deque

from duck_protection.clocks import JumpDetector, OffsetEstimate

REMEMBERED = 8  # pictures; a stuck driver may hand its ring of buffers round, four with V4L2


@dataclass(frozen=True)
class Bounds:
    """What a frame's stamp may be. Reasons stand in config/duck_protection_node.yaml."""

    max_age_s: float = 0.40
    max_offset_s: float = 2.0  # between the camera's clock and ours
    jump_s: float = 0.10


@dataclass(frozen=True)
class Arrival:
    """When a frame was made, by the camera's clock, and when it came, by our wall clock and monotonic clock."""

    stamp_s: float
    clock_s: float
    mono_s: float


@dataclass(frozen=True)
class Weight:
    """What a frame is worth. `code` is empty for evidence, else one word for counters; `reason` is for people.

    age_s: Estimated, stamp to now; for a stamp that cannot be true, since the frame came.
    """

    code: str
    reason: str
    age_s: float


class Evidence:
    """Remembers stamps and pictures, and weighs each new frame against them. One thread at a time."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._offsets = OffsetEstimate(bounds.max_offset_s)
        self._jumps = JumpDetector(bounds.jump_s)
        self._stamp_s = -math.inf
        self._pictures: Deque[bytes] = deque(maxlen=REMEMBERED)

    def weigh(self, frame: Arrival, picture: bytes, mono_s: float) -> Weight:
        """What this frame is worth at mono_s.

        Args:
            frame: When it was made and came; each frame is weighed once, in the order of coming.
            picture: Its digest, frames.digest().
            mono_s: The monotonic clock now, not before frame.mono_s.
        """
        waited_s = mono_s - frame.mono_s
        refusal = self._clock_trouble(frame) or self._stamp_trouble(frame)
        if refusal:
            return Weight(refusal.split(":")[0], refusal, waited_s)
        same, self._stamp_s = frame.stamp_s == self._stamp_s, frame.stamp_s
        self._offsets.observe(frame.stamp_s, frame.clock_s, frame.mono_s)
        age_s = waited_s + (self._offsets.age_s(frame.stamp_s, frame.clock_s) or 0.0)
        seen = picture in self._pictures
        self._pictures.append(picture)
        if same or seen:
            return Weight("repeated", "frozen: the camera repeats one picture", age_s)
        if age_s >= self._bounds.max_age_s:
            return Weight("late", f"late: the frame came {age_s:.2f} s old", age_s)
        return Weight("", "", age_s)

    def _clock_trouble(self, frame: Arrival) -> str:
        if not frame.clock_s > 0:
            return "clock: this machine's clock stands at zero; is /use_sim_time set without a /clock?"
        if self._jumps.jumped(frame.clock_s, frame.mono_s):
            self._start_over(-math.inf)
            return "clock: this machine's clock was set"
        return ""

    def _stamp_trouble(self, frame: Arrival) -> str:
        lag_s = frame.clock_s - frame.stamp_s
        if not (math.isfinite(frame.stamp_s) and frame.stamp_s > 0):
            return "stamp: the frame has none"
        if not abs(lag_s) <= self._bounds.max_offset_s:
            way = "behind" if lag_s > 0 else "ahead of"
            return f"stamp: {abs(lag_s):.1f} s {way} this machine's clock, at most {self._bounds.max_offset_s} allowed"
        if frame.stamp_s < self._stamp_s:
            back_s = self._stamp_s - frame.stamp_s
            self._start_over(frame.stamp_s)
            return f"stamp: went back by {back_s:.3f} s"
        return ""

    def _start_over(self, stamp_s: float) -> None:
        self._offsets.reset()
        self._stamp_s = stamp_s
