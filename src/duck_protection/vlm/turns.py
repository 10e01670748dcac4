"""Whose turn is it? A queue that is fair between callers, not between requests.

Answers: which of the waiting requests go into the next batch? Knows no model, no clock and no thread. Promises: callers
take turns, so that between two requests of one caller every other that waits is served; a caller holds only as many
places as it may, and its newest requests keep them.
"""
from __future__ import annotations

from collections import OrderedDict, deque
from typing import Deque, Generic, List, Optional, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Not thread-safe: whoever owns it has a lock."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, Deque[Item]] = OrderedDict()  # the first one's turn is next
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, caller: str, item: Item, places: int = 1) -> Optional[Item]:
        """Lets it wait. Returns the caller's oldest request when that has lost its place to this one.

        Args:
            places: How many of this caller's requests may wait, 1 or more.
        """
        mine = self._callers.setdefault(caller, deque())
        mine.append(item)
        self._size += 1
        if len(mine) <= places:
            return None
        self._size -= 1
        return mine.popleft()

    def crowd_out(self, caller: str) -> Item:
        """Takes one out, because this caller's newest request is one too many: the oldest of whoever has most waiting,
        if that is more than this caller has, else the newest itself."""
        greediest = max(self._callers, key=lambda name: len(self._callers[name]))
        self._size -= 1
        if len(self._callers[greediest]) > len(self._callers[caller]):
            return self._callers[greediest].popleft()
        newest = self._callers[caller].pop()
        if not self._callers[caller]:
            del self._callers[caller]
        return newest

    def take(self, most: int) -> List[Item]:
        """So many at most, in turn; a caller that has more waiting goes to the end of the line."""
        taken = []
        while self._callers and len(taken) < most:
            caller, mine = self._callers.popitem(last=False)
            taken.append(mine.popleft())
            if mine:
                self._callers[caller] = mine
        self._size -= len(taken)
        return taken
