"""When something happened that a person will want to look at: a STOP, an UNKNOWN, a duck that was hit.

Answers: is this moment the beginning of an event? Promise: every change to STOP or UNKNOWN, and every hit, is part of
an event; a level that flickers makes one event of its kind in each span, not hundreds; the UNKNOWN before the first
verdict is the start, no event.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Dict, List, Optional

from duck_protection.recording.drive import InForce
from duck_protection.verdict import Level


class Kind(Enum):
    """What happened."""

    STOP = "STOP"
    UNKNOWN = "UNKNOWN"
    HIT = "HIT"
    RECORDING = "RECORDING"  # nothing did: a whole recording, see story.py


KINDS = {Level.STOP: Kind.STOP, Level.UNKNOWN: Kind.UNKNOWN}


@dataclass(frozen=True)
class Event:
    """The beginning: when (wall clock, s), what, and the reason in the verdict's words."""

    at_s: float
    kind: Kind
    reason: str


@dataclass
class EventWatch:
    """Told what is in force, again and again, and how many ducks were hit. One thread at a time.

    Args:
        span_s: Another change of the same kind within this time belongs to the event that has begun.
    """

    span_s: float = 5.0
    _level: Optional[Level] = None
    _hits: int = 0
    _began_s: Dict[Kind, float] = field(default_factory=dict)

    def look(self, force: InForce, hits: int, now_s: float) -> List[Event]:
        """The events that begin now."""
        found = []
        first, changed = self._level is None, force.level is not self._level
        if changed and not (first and force.level is Level.UNKNOWN):
            kind = KINDS.get(force.level)
            if kind and self._fresh(kind, now_s):
                found.append(Event(now_s, kind, force.reason))
            self._level = force.level
        if hits > self._hits and self._fresh(Kind.HIT, now_s):
            found.append(Event(now_s, Kind.HIT, f"hit: duck number {hits}"))
        self._hits = hits
        return found

    def _fresh(self, kind: Kind, now_s: float) -> bool:
        """Whether it is a new event, and remembers it if so."""
        last_s = self._began_s.get(kind)
        if last_s is not None and 0 <= now_s - last_s < self.span_s:
            return False
        self._began_s[kind] = now_s
        return True
