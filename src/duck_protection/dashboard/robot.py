"""One robot as the page sees it: its newest picture, what is in force, and a minute of history.

Everything is told with the time at which it came, this machine's wall clock. Promise: taking something returns at
once; what is shown is never more hopeful than the governor was allowed to be (recording.drive.force_of).
"""
from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

from duck_protection.dashboard.health import SILENT_S, Signs, parts_of
from duck_protection.governor import LOST
from duck_protection.recording.drive import MAX_AGE_S, Heard, InForce, force_of
from duck_protection.tally import Tally
from duck_protection.verdict import Level

HISTORY = 600  # samples: a minute at 10 Hz
SHOWN_S = 1.0  # a speed that was told longer ago than this is not shown as the present one


@dataclass(frozen=True)
class Timing:
    """Where the time of one verdict went, ms: from the frame's stamp to the verdict, and its parts."""

    age_ms: float
    decode_ms: float
    wait_ms: float
    infer_ms: float


def whole_ms(seconds: Optional[float]) -> Optional[int]:
    """Milliseconds for the page; None for what is none, NaN and infinities included."""
    return None if seconds is None or not math.isfinite(seconds) else round(1e3 * seconds)


class Robot:
    """Any thread may tell and look.

    Args:
        history: Samples from a recording, for a robot that is not there.
        choices: The words that their probabilities belong to.
        max_age_s: The governor's: a CLEAR on an older frame is shown as UNKNOWN.
    """

    def __init__(
        self, name: str, history: Sequence[Dict[str, Any]] = (), choices: Sequence[str] = (),
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.name, self._choices, self._max_age_s = name, list(choices), max_age_s
        self._lock = threading.Lock()
        self._tally = Tally()
        self._picture: Tuple[int, bytes] = (0, b"")
        self._heard: Optional[Heard] = None
        self._timing: Optional[Timing] = None  # of the last frame that was judged
        self._model = self._status = self._lost = ""
        self._speeds: Dict[str, Tuple[float, float]] = {}  # "permitted" and "asked": (m/s, when)
        self._came_s: Dict[str, float] = {}
        self._hits = 0
        self._samples: Deque[Dict[str, Any]] = deque(history, maxlen=max(HISTORY, len(history)))

    def frame(self, jpeg: bytes, at_s: float) -> None:
        """A picture has come."""
        self._came("camera", at_s)
        with self._lock:
            self._picture = (self._picture[0] + 1, jpeg)

    def verdict(self, heard: Heard, timing: Timing, model: str) -> None:
        """A verdict has come; heard.stamp_s is its frame's, by this machine's clock."""
        first = self._heard is None or heard.stamp_s != self._heard.stamp_s
        self._came_s["verdict"] = heard.heard_s
        if heard.choices:  # an UNKNOWN about no picture offers none: the minute before it keeps its words
            self._choices = list(heard.choices)
        if heard.judged and first:
            self._tally.note("judged", heard.heard_s)
        with self._lock:
            self._heard = heard
            if heard.judged and first:
                self._timing, self._model = timing, model

    def speed(self, which: str, v_mps: float, at_s: float) -> None:
        """A speed was "permitted" or "asked" for."""
        with self._lock:
            self._speeds[which] = (v_mps, at_s)

    def beat(self, at_s: float) -> None:
        """The guard's heartbeat."""
        self._came("guard", at_s)

    def status(self, words: str) -> None:
        """vlm_node's status."""
        self._status = words

    def guarded(self, words: str) -> None:
        """The guard's status: the level that it permits, and why."""
        cause = words.partition(": ")[2]
        self._lost = cause.partition(": ")[2] if cause.startswith(LOST) else ""

    def hits(self, count: int) -> None:
        """So many ducks were hit so far; only a simulator knows."""
        self._hits = count

    @property
    def ducks_hit(self) -> int:
        """How many so far."""
        return self._hits

    def picture(self) -> Tuple[int, bytes]:
        """The newest picture and its number; number 0: none yet."""
        return self._picture

    def in_force(self, now_s: float) -> InForce:
        """What permits motion now."""
        silent_s = self._age("verdict", now_s)
        if silent_s is not None and silent_s > SILENT_S:
            return InForce(Level.UNKNOWN, f"silence: no verdict for {silent_s:.1f} s", None, self._heard)
        force = force_of(self._heard, now_s, self._max_age_s)
        if self._lost and force.level in (Level.CLEAR, Level.SLOW):
            return InForce(Level.UNKNOWN, f"{LOST}: {self._lost}", force.age_s, force.heard)
        return force

    def history(self) -> List[Dict[str, Any]]:
        """The samples of the last minute, oldest first."""
        with self._lock:
            return list(self._samples)

    @property
    def choices(self) -> List[str]:
        """The words offered in the last verdict that offered some."""
        return self._choices

    def sample(self, now_s: float) -> Dict[str, Any]:
        """This moment for the page; the numbers are kept in the history. Times in s and ms, speeds in m/s."""
        force = self.in_force(now_s)
        shares = force.heard.probabilities if force.heard and force.age_s is not None else ()
        timing = self._timing
        numbers = {
            "t": round(now_s, 2),
            "level": int(force.level),
            "p": [round(share, 4) for share in shares],
            "age": whole_ms(force.age_s),
            "late": whole_ms(timing.age_ms / 1e3) if timing and shares else None,
            **{name: self._now(name, now_s) for name in ("permitted", "asked")},
        }
        with self._lock:
            self._samples.append(numbers)
        health = [asdict(part) for part in parts_of(self._signs(now_s))]
        words = {"reason": force.reason, "choices": self.choices, "health": health, "model": self._model}
        return {**numbers, **words}

    def _signs(self, now_s: float) -> Signs:
        timing, heard = self._timing, self._heard
        return Signs(
            camera_age_s=self._age("camera", now_s),
            camera_hz=self._tally.rate_hz("camera", now_s),
            link_ms=max(0.0, timing.age_ms - timing.decode_ms - timing.wait_ms - timing.infer_ms) if timing else None,
            verdict_age_s=self._age("verdict", now_s),
            verdict_hz=self._tally.rate_hz("judged", now_s),
            infer_ms=timing.infer_ms if timing else None,
            status=self._status,
            reason=heard.reason if heard else "",
            beat_age_s=self._age("guard", now_s),
            lost=self._lost,
        )

    def _came(self, what: str, at_s: float) -> None:
        self._tally.note(what, at_s)
        self._came_s[what] = at_s

    def _age(self, what: str, now_s: float) -> Optional[float]:
        return max(0.0, now_s - self._came_s[what]) if what in self._came_s else None

    def _now(self, which: str, now_s: float) -> Optional[float]:
        v_mps, at_s = self._speeds.get(which, (0.0, float("-inf")))
        return round(v_mps, 3) if now_s - at_s < SHOWN_S and v_mps == v_mps else None
