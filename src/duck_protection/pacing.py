"""How many pictures may be under way to the workstation: as many as come back judged, and no more.

A network that carries less than the camera makes does not drop pictures, it queues them, and they grow old. Answers:
may the newest picture be sent now? Knows no ROS and reads no clock: times are monotonic seconds, passed in. Promise: at
most `window` pictures are under way that are neither answered nor given up, so no queue can grow; a workstation that
has fallen silent is tried again each give_up_s, so everything comes back by itself.
"""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Optional

from duck_protection.settings import RangeTable, check_ranges


@dataclass(frozen=True)
class Pace:
    """Reasons stand in config/link_node.yaml."""

    window: int = 2
    give_up_s: float = 1.0

    RANGES: ClassVar[RangeTable] = {"window": (1, 10), "give_up_s": (0.1, 10.0)}

    def __post_init__(self) -> None:
        check_ranges(self)


class Pacer:
    """Told of every picture sent and every answer heard. One thread at a time."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._under_way: OrderedDict[int, float] = OrderedDict()  # stamp (ns) -> when it was sent, oldest first
        self.given_up = 0
        self.round_trip_s: Optional[float] = None  # of the last answered picture

    def may_send(self, mono_s: float) -> bool:
        """Whether there is room for one more picture now."""
        if self._under_way and mono_s - next(reversed(self._under_way.values())) >= self._pace.give_up_s:
            self.given_up += len(self._under_way)  # nothing came for so long: all are lost, or nobody is there
            self._under_way.clear()
        return len(self._under_way) < self._pace.window

    def sent(self, stamp_ns: int, mono_s: float) -> None:
        """This picture has been sent."""
        self._under_way[stamp_ns] = mono_s

    def heard(self, stamp_ns: int, mono_s: float) -> None:
        """A verdict about this picture has come back: it and all older ones are no longer under way."""
        if stamp_ns in self._under_way:
            self.round_trip_s = mono_s - self._under_way[stamp_ns]
        for old_ns in [under_way_ns for under_way_ns in self._under_way if under_way_ns <= stamp_ns]:
            del self._under_way[old_ns]
