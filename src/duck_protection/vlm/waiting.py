"""What can wait for the model's thread: a verdict, a free answer, a step of somebody else's.

Promise: each is settled exactly once, with what the model gave or with an error, and whoever waits for a verdict or a
free answer waits no longer than its deadline. A step has none: whoever brings it has clients with their own. All times
are on the monotonic clock.
"""
from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Iterator, Optional, Union

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Reply
from duck_protection.vlm.base import LateError


@dataclass(eq=False)
class Ask:
    """A choose() in the queue."""

    frame: np.ndarray
    question: Question
    deadline_s: float
    asked_s: float
    _done: threading.Event = field(default_factory=threading.Event)
    _outcome: Union[Reply, BaseException, None] = None

    def settle(self, outcome: Union[Reply, BaseException]) -> None:
        """Wakes whoever waits."""
        self._outcome = outcome
        self._done.set()

    def result(self) -> Reply:
        """The reply. Raises the error it was settled with, or LateError at the deadline."""
        if not self._done.wait(max(0.0, self.deadline_s - time.monotonic())):
            raise LateError("the deadline passed before the model had answered")
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome


@dataclass(eq=False)
class Talk:
    """A generate() in the queue. Pieces of text go into the mailbox, then None or an error."""

    frame: np.ndarray
    prompt: str
    max_tokens: int
    deadline_s: float
    mailbox: queue.Queue[Union[str, BaseException, None]] = field(default_factory=queue.Queue)
    pieces: Optional[Iterator[str]] = None
    abandoned: bool = False

    def finish(self, last: Optional[BaseException]) -> None:
        """Ends the model's generation, and the reader's waiting."""
        close = getattr(self.pieces, "close", None)
        if close is not None:
            close()
        self.mailbox.put(last)

    def read(self) -> Iterator[str]:
        """The pieces as they come; who stops reading abandons the talk."""
        try:
            while True:
                try:
                    piece = self.mailbox.get(timeout=max(0.0, self.deadline_s - time.monotonic()))
                except queue.Empty:
                    raise LateError("the deadline passed before the answer was complete") from None
                if isinstance(piece, BaseException):
                    raise piece
                if piece is None:
                    return
                yield piece
        finally:
            self.abandoned = True


@dataclass(eq=False)
class Step:
    """A between() in the queue."""

    work: Callable[[], None]
    _done: threading.Event = field(default_factory=threading.Event)
    _error: Optional[BaseException] = None

    def run(self) -> Optional[BaseException]:
        """Does the work; its error, whatever it is, belongs to whoever waits for it, and is returned."""
        try:
            self.work()
        except BaseException as err:
            self._error = err
        self._done.set()
        return self._error

    def refuse(self, error: BaseException) -> None:
        """It will not be done."""
        self._error = error
        self._done.set()

    def wait(self) -> None:
        """Returns when it is done. Raises what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
