"""The black box's memory: messages of the last seconds, as they came.

Answers: what was said between two moments? Knows nothing of what the messages say. Promise: never holds more than its
seconds nor more than its bytes; whatever is older, or does not fit, is gone.
"""
from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Deque, List


@dataclass(frozen=True)
class Item:
    """One message: when it came (wall clock, s), its topic, its ROS type, and its bytes as serialised."""

    at_s: float
    topic: str
    kind: str
    data: bytes


class Ring:
    """Any thread may put and look.

    Args:
        seconds: How far back it reaches.
        max_bytes: Of all data together; the oldest go first.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds, self._max_bytes = seconds, max_bytes
        self._items: Deque[Item] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, item: Item) -> None:
        """Takes one more."""
        with self._lock:
            self._items.append(item)
            self._bytes += len(item.data)
            while self._items and (self._bytes > self._max_bytes or self._items[0].at_s < item.at_s - self._seconds):
                self._bytes -= len(self._items.popleft().data)

    def between(self, from_s: float, to_s: float) -> List[Item]:
        """What came then, both included, in the order in which it came."""
        with self._lock:
            return [item for item in self._items if from_s <= item.at_s <= to_s]
