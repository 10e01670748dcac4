"""Counters and recent numbers for the diagnostics: how often, how fast, how old.

Answers what a person asks when a robot stands still. Promise: counting is cheap, never fails, and remembers only
a bounded number of recent values.
"""
from __future__ import annotations

import math
import threading
from collections import Counter, deque
from typing import Deque, Dict, Sequence

REMEMBERED = 300  # values: ten seconds of a 30 Hz camera


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of the values, share from 0 to 1; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Tally:
    """Counters by name, and recent values by name. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._recent: Dict[str, Deque[float]] = {}

    def count(self, name: str) -> None:
        """One more of these."""
        with self._lock:
            self._counts[name] += 1

    def note(self, name: str, value: float) -> None:
        """One more value of this kind."""
        with self._lock:
            self._recent.setdefault(name, deque(maxlen=REMEMBERED)).append(value)

    @property
    def counts(self) -> Dict[str, int]:
        """All counters, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def recent(self, name: str, share: float) -> float:
        """The quantile of the recent values of this kind; NaN when there are none."""
        with self._lock:
            values = list(self._recent.get(name, ()))
        return quantile(values, share)

    def rate_hz(self, name: str, mono_s: float, window_s: float = 5.0) -> float:
        """How often per second this kind, noted as monotonic times, came lately."""
        with self._lock:
            times = [time_s for time_s in self._recent.get(name, ()) if time_s > mono_s - window_s]
        return len(times) / max(1.0, mono_s - times[0]) if times else 0.0
