"""The governor: verdicts and time in, a permitted speed out. It runs on the robot, inside whatever drives.

Answers: may the wheels turn now, and how fast? Knows no ROS and reads no clock: every time is passed in, the
robot's wall clock (clock_s, the one that stamps frames) and its monotonic clock (mono_s). Promise: the speed is
zero unless a CLEAR or SLOW from a distinct frame younger than max_age_s, at this moment, permits more; NaN,
silence, a jumping clock and a stamp that goes back all stop; a STOP is never overruled by waiting.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

from duck_protection.clocks import JumpDetector
from duck_protection.settings import RangeTable, check_ranges
from duck_protection.verdict import Level

LOST = "lost"  # what is remembered, and how the reason begins, until release() or the duck is seen again
LOOK = "a duck left the picture at its bottom edge; look under the bumper, then release"
LATEST_S = 2.0  # pictures that come later than this are not judged (duck_protection_node's max_offset_s)
CORNER_M = 0.10  # from the axle's centre to a corner of the front bumper: what a turn sweeps


@dataclass(frozen=True)
class Limits:
    """The governor's settings. Ranges are checked here, reasons stand in config/lane_guard_node.yaml."""

    max_age_s: float = 0.40
    blind_m: float = 0.08  # most that is ever driven on one picture
    camera_latency_s: float = 0.03  # exposure to stamp: stamps are made at publish
    silence_s: float = 0.30  # verdict messages come at 10 Hz or faster
    slow_scale: float = 0.25  # the controller's own quarter speed (dt-core)
    slow_mps: float = 0.05  # and no more than this, however fast the controller is
    leave_frames: int = 3
    leave_span_s: float = 0.3
    future_s: float = 0.05  # a stamp may lead the clock by this much: rounding and slewing
    jump_s: float = 0.10
    roll_out_s: float = 0.30  # zero command to standstill: 0.15 s actuation delay and the roll

    RANGES: ClassVar[RangeTable] = {
        "max_age_s": (0.05, 2.0),
        "blind_m": (0.01, 0.3),
        "camera_latency_s": (0.0, 0.3),
        "silence_s": (0.1, 2.0),
        "slow_scale": (0.0, 1.0),
        "slow_mps": (0.0, 0.5),
        "leave_frames": (1, 100),
        "leave_span_s": (0.0, 10.0),
        "future_s": (0.0, 0.5),
        "jump_s": (0.01, 1.0),
        "roll_out_s": (0.0, 2.0),
    }

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def cap_mps(self) -> float:
        """The speed at which blind_m lasts for max_age_s."""
        return self.blind_m / self.max_age_s


@dataclass(frozen=True)
class Permit:
    """What is permitted now. scale multiplies the controller's command; cap_mps bounds the result."""

    level: Level  # UNKNOWN and STOP: zero
    scale: float
    cap_mps: float
    reason: str


class Governor:
    """Holds what was seen and decides afresh at every call. One thread at a time: the caller locks.

    Args:
        remembered: Another governor's `remembered`, whose place this one takes.
    """

    def __init__(self, limits: Limits, remembered: str = "") -> None:
        self.limits = limits
        self._jumps = JumpDetector(limits.jump_s)
        self._level = Level.UNKNOWN
        self._why = "start: no verdict yet"
        self._stamp_s: Optional[float] = None  # newest evidence
        self._heard_mono_s = -math.inf
        self._set_back_until_mono_s = -math.inf  # pictures of the time before may still come, and look young
        self._good = _Streak()  # SLOW or better
        self._clear = _Streak()
        self._memory = _StopMemory(remembered)

    @property
    def remembered(self) -> str:
        """What must outlive this process: "lost", "near" (a duck before a rolling robot), or nothing."""
        return self._memory.word

    def hear(self, level: Level, stamp_s: float, clock_s: float, mono_s: float) -> None:
        """Takes one verdict. The same stamp again can only lower what is permitted, never renew it."""
        self._watch_clock(clock_s, mono_s)
        self._heard_mono_s = mono_s
        newest_s = self._stamp_s
        went_back = False
        if level is Level.UNKNOWN or not (math.isfinite(stamp_s) and stamp_s > 0):
            self._forget("UNKNOWN: as judged")
        elif newest_s is not None and stamp_s < newest_s:
            went_back = True
            self._forget(f"stamp went back by {newest_s - stamp_s:.3f} s")
            self._stamp_s = stamp_s
        elif level is Level.STOP:
            self._forget("STOP: as judged", level)
            self._stamp_s = stamp_s
        elif newest_s is None or stamp_s > newest_s:
            self._count(level, stamp_s)
        elif level > self._level > Level.UNKNOWN:  # the same frame, judged more strictly
            self._level, self._clear = level, _Streak()
        self._memory.hear(level, stamp_s, mono_s - self.limits.roll_out_s - max(0.0, clock_s - stamp_s))
        if went_back:
            self._memory.new_time()

    def permit(self, clock_s: float, mono_s: float) -> Permit:
        """What is permitted at this moment."""
        self._watch_clock(clock_s, mono_s)
        trouble = self._trouble(clock_s, mono_s)
        if trouble:
            self._forget(trouble)
        if self._level in (Level.UNKNOWN, Level.STOP):
            return self._zero(self._why)
        if self._memory.lost:
            return self._zero(f"{LOST}: {LOOK}")
        if not self._long_enough(self._good):
            return self._zero(f"leaving: {self._good.frames} agreeing frames over {self._good.span_s:.2f} s so far")
        if self._level is Level.CLEAR and self._long_enough(self._clear):
            return Permit(Level.CLEAR, 1.0, self.limits.cap_mps, "clear")
        return Permit(Level.SLOW, self.limits.slow_scale, min(self.limits.slow_mps, self.limits.cap_mps), "slow")

    def command(
        self, v_mps: float, omega_radps: float, clock_s: float, mono_s: float
    ) -> Tuple[float, float, Permit]:
        """The controller's command as permitted now: same curvature; neither the axle's speed nor what the turn adds at
        the bumper's corner is more than is permitted."""
        permit = self.permit(clock_s, mono_s)
        if permit.scale == 0 or not (math.isfinite(v_mps) and math.isfinite(omega_radps)):
            return 0.0, 0.0, permit
        scale, fastest_mps = permit.scale, max(abs(v_mps), abs(omega_radps) * CORNER_M)
        if fastest_mps * scale > permit.cap_mps:
            scale = permit.cap_mps / fastest_mps
        if fastest_mps:
            self._memory.moved(mono_s)
        return v_mps * scale, omega_radps * scale, permit

    def release(self) -> None:
        """A person has looked under the bumper. The usual evidence is still needed before the wheels turn."""
        self._memory = _StopMemory()
        self._forget("released: waiting for fresh evidence")

    def _watch_clock(self, clock_s: float, mono_s: float) -> None:
        if self._jumps.jumped(clock_s, mono_s):
            self._forget("clock jump: the robot's clock was set")
            self._stamp_s = None
            self._memory.new_time()
            if not self._jumps.by_s >= 0:
                back_s = min(LATEST_S, -self._jumps.by_s)  # in this order NaN is LATEST_S
                self._set_back_until_mono_s = max(self._set_back_until_mono_s, mono_s) + back_s + self.limits.max_age_s

    def _trouble(self, clock_s: float, mono_s: float) -> str:
        if mono_s < self._set_back_until_mono_s:
            return "clock jump: the robot's clock was set back, and pictures of the time before may still come"
        if self._stamp_s is None:
            return ""
        silent_s = mono_s - self._heard_mono_s
        if not silent_s <= self.limits.silence_s:
            return f"silence: no verdict for {silent_s:.2f} s"
        age_s = clock_s - self._stamp_s + self.limits.camera_latency_s
        if self._level in (Level.CLEAR, Level.SLOW) and not age_s < self.limits.max_age_s:
            return f"old: the newest judged frame is {age_s:.2f} s old"
        if age_s < -self.limits.future_s:
            return f"future: the newest judged frame is from {-age_s:.2f} s ahead"
        return ""

    def _count(self, level: Level, stamp_s: float) -> None:
        if self._stamp_s is not None and stamp_s - self._stamp_s >= self.limits.max_age_s:
            self._forget("gap: start the count again")
        self._level, self._stamp_s, self._why = level, stamp_s, level.name
        self._good = self._good.grown(stamp_s)
        self._clear = self._clear.grown(stamp_s) if level is Level.CLEAR else _Streak()

    def _forget(self, why: str, level: Level = Level.UNKNOWN) -> None:
        self._level, self._why = level, why
        self._good = self._clear = _Streak()

    def _long_enough(self, streak: _Streak) -> bool:
        # a microsecond: what stamps lose as floating point seconds since 1970
        return streak.frames >= self.limits.leave_frames and streak.span_s >= self.limits.leave_span_s - 1e-6

    def _zero(self, reason: str) -> Permit:
        return Permit(self._level if self._level is Level.STOP else Level.UNKNOWN, 0.0, 0.0, reason)


@dataclass(frozen=True)
class _Streak:
    """Agreeing distinct frames in a row, by their stamps."""

    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0

    @property
    def span_s(self) -> float:
        return self.last_s - self.first_s

    def grown(self, stamp_s: float) -> _Streak:
        return _Streak(self.frames + 1, self.first_s if self.frames else stamp_s, stamp_s)


class _StopMemory:
    """Remembers a duck that can only have left the picture under the bumper.

    A duck that walks off passes the side strips, which are SLOW. STOP that turns into CLEAR, while the robot was still
    rolling when it last saw the duck, means that the duck went out of the picture at the bottom. One frame may be a
    mistake of the model, and SLOW is what it says in doubt, of half a duck too: two are believed, of STOP when a duck
    goes and when it is seen again, of SLOW when it walks off.
    """

    FRAMES = 2

    def __init__(self, word: str = "") -> None:
        self.lost = word == LOST
        self._rolling = word == "near"
        self._frames = self.FRAMES if self._rolling else 0
        self._slow = 0  # frames in a row
        self._stamp_s = -math.inf
        self._moved_mono_s = -math.inf

    @property
    def word(self) -> str:
        if self.lost:
            return LOST
        return "near" if self._rolling and self._frames >= self.FRAMES else ""

    def moved(self, mono_s: float) -> None:
        self._moved_mono_s = mono_s

    def new_time(self) -> None:
        """Stamps begin anew, a clock was set; what was seen stays seen."""
        self._stamp_s = -math.inf

    def hear(self, level: Level, stamp_s: float, still_since_mono_s: float) -> None:
        """still_since_mono_s: a robot whose last motion command is older stood when this frame was taken."""
        if level is Level.UNKNOWN or not stamp_s > self._stamp_s:
            return
        self._stamp_s = stamp_s
        self._slow = self._slow + 1 if level is Level.SLOW else 0
        if level is Level.STOP:
            self._frames += 1
            self._rolling = self._moved_mono_s > still_since_mono_s
            if self._frames >= self.FRAMES and not self._rolling:
                self.lost = False  # seen again by a standing robot: the usual rules apply
        elif self._frames < self.FRAMES or level is Level.CLEAR or self._slow >= self.FRAMES:
            if level is Level.CLEAR and self._frames >= self.FRAMES and self._rolling:
                self.lost = True
            self._frames = 0
