"""The watch over the verdicts: may the last one be said again, and if not, what is wrong?

Answers at the steady tick, which can only downgrade: it repeats a verdict unchanged while its frame is young
enough, and otherwise says UNKNOWN and why. Reads no clock: monotonic times are passed in. Promise: no verdict is
repeated at or beyond max_age_s, and silence of any part before us has a name within one tick.
"""
from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long the watch waits for what. Reasons stand in config/duck_protection_node.yaml."""

    max_age_s: float = 0.40
    silence_s: float = 0.30  # without a frame, or without a new picture
    deadline_s: float = 0.25  # of the model


@dataclass(frozen=True)
class Word(Generic[T]):
    """What the tick says: a verdict to repeat unchanged, or a reason for UNKNOWN."""

    repeat: Optional[T]
    reason: str


class Watch(Generic[T]):
    """Holds the last verdict, whatever its type, and what is going on. Any thread may call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._last: Optional[T] = None
        self._born_mono_s = -math.inf
        self._came_mono_s = -math.inf
        self._asked_mono_s = math.inf
        self._repeats = 0

    def came(self, mono_s: float) -> None:
        """A frame arrived, of whatever worth."""
        with self._lock:
            self._came_mono_s = mono_s

    def asked(self, mono_s: float) -> None:
        """The model has been asked."""
        with self._lock:
            self._asked_mono_s = mono_s

    def repeated(self) -> None:
        """The newest frame was the same picture again: nothing to judge."""
        with self._lock:
            self._repeats += 1

    def judged(self, verdict: T, born_mono_s: float) -> None:
        """A verdict was made about a frame that was born (stamped) at born_mono_s, as well as can be told."""
        with self._lock:
            self._last, self._born_mono_s = verdict, born_mono_s
            self._asked_mono_s = math.inf
            self._repeats = 0

    def word(self, mono_s: float) -> Word[T]:
        """What to say at this moment."""
        with self._lock:
            trouble = self._trouble(mono_s)
            return Word(None, trouble) if trouble else Word(self._last, "")

    def _trouble(self, mono_s: float) -> str:
        if self._came_mono_s == -math.inf:
            return "no_frame: no picture has come since the start"
        silent_s = mono_s - self._came_mono_s
        if not silent_s < self._patience.silence_s:
            return f"camera: silent for {silent_s:.1f} s"
        age_s = mono_s - self._born_mono_s
        if self._repeats and age_s >= self._patience.silence_s:
            return f"frozen: the camera repeats one picture, {self._repeats} times so far"
        if self._last is not None and age_s < self._patience.max_age_s:
            return ""
        if mono_s - self._asked_mono_s >= self._patience.deadline_s:
            return f"model: no answer within {self._patience.deadline_s:g} s"
        if self._last is None:
            return "start: the first frame has not been judged yet"
        return f"old: the newest judged frame is {age_s:.2f} s old"
