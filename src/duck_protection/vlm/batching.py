"""One thread for one model: many callers ask at once, the model sees batches, and verdicts go before free text.

Answers: who is served next? Knows no ROS and no torch. Promises: everything that waits is taken into the next batch,
without an artificial delay; choose() returns or raises by its deadline, whatever the model does; a generation goes on
only when no choose() waits, one token at a time; no error of the model ends the thread.

Longer than most files here, because everything in it shares one queue's lock and one thread's order of service.
"""
from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Callable, Deque, Iterator, Optional, Sequence, Set, Tuple, Union

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply, Timings
from duck_protection.vlm.base import BusyError, LateError, MemoryFullError, NotReadyError, Vlm, VlmError

MAX_TALKS = 4  # free questions in progress or waiting: they are for people
CLOSING_S = 2.0  # a model that hangs longer than this is left behind with its (daemon) thread

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Ask:
    """A choose() in the queue; times are on the monotonic clock."""

    frame: np.ndarray
    question: Question
    deadline_s: float
    asked_s: float
    done: threading.Event = field(default_factory=threading.Event)
    outcome: Union[Reply, BaseException, None] = None

    def settle(self, outcome: Union[Reply, BaseException]) -> None:
        self.outcome = outcome
        self.done.set()


@dataclass(eq=False)
class _Talk:
    """A generate() in the queue. Pieces of text go into the mailbox, then None or an error."""

    frame: np.ndarray
    prompt: str
    max_tokens: int
    deadline_s: float
    mailbox: queue.Queue[Union[str, BaseException, None]] = field(default_factory=queue.Queue)
    pieces: Optional[Iterator[str]] = None
    abandoned: bool = False


@dataclass(eq=False)
class _Turn:
    """A between() in the queue."""

    step: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    error: Optional[BaseException] = None


class Batcher:
    """Gives a Vlm its one thread.

    Args:
        max_batch: Most questions in one forward pass.
        max_queue: Most choose() calls that may wait; one more is BusyError.
    """

    def __init__(self, vlm: Vlm, max_batch: int = 8, max_queue: int = 32) -> None:
        if max_batch < 1 or max_queue < 1:
            raise ValueError(f"max_batch and max_queue must be 1 or more, are {max_batch} and {max_queue}")
        self._vlm, self._max_batch, self._max_queue = vlm, max_batch, max_queue
        self._asks: Deque[_Ask] = deque()
        self._talks: Deque[Union[_Talk, _Turn]] = deque()
        self._usable: Set[Tuple[str, ...]] = set()  # choices that the model has accepted
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="vlm", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> Identity:
        """The model's."""
        return self._vlm.identity

    def choose(self, frame: np.ndarray, question: Question, deadline_mono_s: float) -> Reply:
        """The model's reply, with wait_ms and infer_ms filled in.

        Args:
            frame: uint8, shape (height, width, 3), RGB order.
            deadline_mono_s: On time.monotonic(); after it the answer is worthless.

        Raises:
            LateError: The deadline passed. BusyError: the queue is full. Any other VlmError of the model.
        """
        ask = _Ask(frame, question, deadline_mono_s, time.monotonic())
        with self._changed:
            self._admit(len(self._asks), self._max_queue)
            self._asks.append(ask)
            self._changed.notify()
        if not ask.done.wait(max(0.0, deadline_mono_s - time.monotonic())):
            raise LateError("the deadline passed before the model had answered")
        if isinstance(ask.outcome, BaseException):
            raise ask.outcome
        assert ask.outcome is not None
        return ask.outcome

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int, deadline_mono_s: float) -> Iterator[str]:
        """Pieces of the answer to a free question as they come; stop iterating to stop the model.

        Raises:
            As choose(); a deadline that passes in the middle of an answer raises LateError there.
        """
        talk = _Talk(frame, prompt, max_tokens, deadline_mono_s)
        with self._changed:
            self._admit(sum(isinstance(other, _Talk) for other in self._talks), MAX_TALKS)
            self._talks.append(talk)
            self._changed.notify()
        return _pieces(talk)

    def between(self, step: Callable[[], None]) -> None:
        """Runs a step on the model's thread when no choose() waits; returns when it is done, raises what it raised.

        For engines that share the model (the HTTP server's): each step is one token at most.
        """
        turn = _Turn(step)
        with self._changed:
            self._admit(0, 1)
            self._talks.append(turn)
            self._changed.notify()
        turn.done.wait()
        if turn.error is not None:
            raise turn.error

    def close(self) -> None:
        """End the thread; whoever still waits gets NotReadyError. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(CLOSING_S)

    def _admit(self, waiting: int, most: int) -> None:
        if self._closed:
            raise NotReadyError("the model's thread is closed")
        if waiting >= most:
            raise BusyError(f"{waiting} requests wait already")

    def _serve(self) -> None:
        """The engine thread: verdicts first, then one token for the talk whose turn it is."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._asks or self._talks)
                if self._closed:
                    break
                asks = [self._asks.popleft() for _ in range(min(self._max_batch, len(self._asks)))]
                talk = self._talks.popleft() if not asks else None
            if asks:
                self._answer([ask for ask in asks if self._worth_asking(ask)])
            elif talk is not None and self._advance(talk):
                with self._changed:
                    self._talks.append(talk)
        self._turn_away()

    def _worth_asking(self, ask: _Ask) -> bool:
        if time.monotonic() >= ask.deadline_s:
            ask.settle(LateError("the deadline passed in the queue"))
            return False
        if ask.question.words not in self._usable:
            try:
                self._vlm.check_choices(ask.question.words)
            except Exception as err:  # delivered, whatever it is: this thread must live
                ask.settle(err)
                return False
            self._usable.add(ask.question.words)
        return True

    def _answer(self, asks: Sequence[_Ask]) -> None:
        """One forward pass for all of them; in halves when that was too much for the device's memory."""
        if not asks:
            return
        began_s = time.monotonic()
        try:
            replies = self._vlm.choose([ask.frame for ask in asks], [ask.question for ask in asks])
        except Exception as err:
            if isinstance(err, MemoryFullError) and len(asks) > 1:
                self._answer(asks[: len(asks) // 2])
                self._answer(asks[len(asks) // 2 :])
                return
            _report(err)
            for ask in asks:
                ask.settle(err)
            return
        infer_ms = 1e3 * (time.monotonic() - began_s)
        for ask, reply in zip(asks, replies):
            timings = Timings(reply.timings.decode_ms, 1e3 * (began_s - ask.asked_s), infer_ms)
            ask.settle(replace(reply, timings=timings))

    def _advance(self, talk: Union[_Talk, _Turn]) -> bool:
        """One more token; False when the talk is over."""
        if isinstance(talk, _Turn):
            return _take(talk)
        if talk.abandoned or time.monotonic() >= talk.deadline_s:
            return _finish(talk, LateError("the deadline passed before the answer was complete"))
        try:
            if talk.pieces is None:
                talk.pieces = self._vlm.generate(talk.frame, talk.prompt, talk.max_tokens)
            talk.mailbox.put(next(talk.pieces))
            return True
        except StopIteration:
            return _finish(talk, None)
        except Exception as err:  # as in _answer
            _report(err)
            return _finish(talk, err)

    def _turn_away(self) -> None:
        with self._changed:
            asks, talks = list(self._asks), list(self._talks)
        for ask in asks:
            ask.settle(NotReadyError("the model's thread is closed"))
        for talk in talks:
            if isinstance(talk, _Turn):
                talk.error = NotReadyError("the model's thread is closed")
                talk.done.set()
            else:
                _finish(talk, NotReadyError("the model's thread is closed"))


def _take(turn: _Turn) -> bool:
    try:
        turn.step()
    except BaseException as err:  # it belongs to whoever waits for this step
        turn.error = err
    turn.done.set()
    return False


def _finish(talk: _Talk, last: Optional[BaseException]) -> bool:
    close = getattr(talk.pieces, "close", None)
    if close is not None:
        close()
    talk.mailbox.put(last)
    return False


def _report(err: BaseException) -> None:
    if not isinstance(err, VlmError):
        log.error("the model failed in an unforeseen way; the request gets the error", exc_info=err)


def _pieces(talk: _Talk) -> Iterator[str]:
    try:
        while True:
            try:
                piece = talk.mailbox.get(timeout=max(0.0, talk.deadline_s - time.monotonic()))
            except queue.Empty:
                raise LateError("the deadline passed before the answer was complete") from None
            if isinstance(piece, BaseException):
                raise piece
            if piece is None:
                return
            yield piece
    finally:
        talk.abandoned = True
