"""A place for one thing: the newest. Whoever comes to take it never gets an older one.

Answers: what came last, and how much was replaced unread? Knows nothing of what it holds. Promise: put() never
waits, take() wakes at once and gives each thing out at most once, and nothing queues up behind a slow taker.
"""
from __future__ import annotations

import threading
from typing import Generic, Optional, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds the newest thing only. Any number of threads may put, take and look."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: Optional[T] = None
        self._waiting: Optional[T] = None
        self._replaced = 0
        self._closed = False

    def put(self, thing: T) -> None:
        """Stores this, instead of what was still waiting."""
        with self._changed:
            self._replaced += self._waiting is not None
            self._newest = self._waiting = thing
            self._changed.notify()

    def take(self) -> Optional[T]:
        """Waits for a thing that nobody took yet; None once closed."""
        with self._changed:
            while self._waiting is None and not self._closed:
                self._changed.wait()
            taken, self._waiting = self._waiting, None
            return None if self._closed else taken

    def close(self) -> None:
        """Ends every take(), now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def newest(self) -> Optional[T]:
        """The last thing put, taken or not."""
        return self._newest

    @property
    def replaced(self) -> int:
        """How many things were replaced before anybody took them."""
        return self._replaced
