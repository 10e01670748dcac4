"""One thread for one model: many callers ask at once, the model sees batches, and verdicts go before free text.

Answers: who is served next? Knows no ROS and no torch. Promises: everything that waits is taken into the next batch,
callers in turn, without an artificial delay; what cannot be answered by its deadline gives its place to what can;
choose() returns or raises by its deadline, whatever the model does; nobody fails for another's request in the batch; a
generation goes on only when no choose() waits, one token at a time; no error of the model ends the thread; whoever
asked for it is told once that the device is lost.
"""
from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Callable, Deque, Iterator, List, Optional, Sequence, Union

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply, Timings
from duck_protection.vlm.base import (
    BusyError,
    DeviceLostError,
    LateError,
    NotReadyError,
    Vlm,
    VlmError,
)
from duck_protection.vlm.turns import Turns
from duck_protection.vlm.waiting import Ask, Step, Talk

MAX_TALKS = 4  # free questions in progress or waiting: they are for people
CLOSING_S = 2.0  # a model that hangs longer than this is left behind with its (daemon) thread
REMEMBERED = 8  # batches, whose quickest tells what can be done in time: one slow batch must not turn anybody away
OF_ALL = (DeviceLostError, LateError, BusyError, NotReadyError)  # no fault of one request: halves would fail too

log = logging.getLogger(__name__)


class Batcher:
    """Gives a Vlm its one thread.

    Args:
        vlm: If it has a prepare(frame), that is called first, in the caller's own thread.
        max_batch: Most questions in one forward pass.
        max_queue: Most choose() calls that may wait; one more is BusyError.
    """

    def __init__(self, vlm: Vlm, max_batch: int = 8, max_queue: int = 32) -> None:
        if max_batch < 1 or max_queue < 1:
            raise ValueError(f"max_batch and max_queue must be 1 or more, are {max_batch} and {max_queue}")
        self._vlm, self._max_batch, self._max_queue = vlm, max_batch, max_queue
        self._prepare: Optional[Callable[[np.ndarray], np.ndarray]] = getattr(vlm, "prepare", None)
        self._asks: Turns[Ask] = Turns()
        self._strangers = itertools.count()  # names for those who give none
        self._talks: Deque[Union[Talk, Step]] = deque()
        self._took_s: Deque[float] = deque(maxlen=REMEMBERED)
        self._changed = threading.Condition()
        self._closed = False
        self._when_lost: Optional[Callable[[DeviceLostError], None]] = None
        self._thread = threading.Thread(target=self._serve, name="vlm", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> Identity:
        """The model's."""
        return self._vlm.identity

    def choose(
        self, frame: np.ndarray, question: Question, deadline_mono_s: float, *, caller: str = "", places: int = 1
    ) -> Reply:
        """The model's reply, with wait_ms and infer_ms filled in.

        Args:
            frame: uint8, shape (height, width, 3), RGB order.
            deadline_mono_s: On time.monotonic(); after it the answer is worthless.
            caller: Who asks; callers take turns. Without a name each request counts as a caller of its own.
            places: How many requests of this caller may wait; one more costs its oldest the place.

        Raises:
            LateError: The deadline passed, could not be met, or a newer request of this caller took the place.
            BusyError: The queue is full; whoever has most requests in it gets this. Any other VlmError of the model.
        """
        asked_s = time.monotonic()
        ask = Ask(self._prepare(frame) if self._prepare else frame, question, deadline_mono_s, asked_s)
        with self._changed:
            caller = caller or f"stranger {next(self._strangers)}"
            self._admit(0, 1)
            older = self._asks.add(caller, ask, places)
            crowded = self._asks.crowd_out(caller) if len(self._asks) > self._max_queue else None
            self._changed.notify()
        if crowded is not None:
            crowded.settle(BusyError(f"{self._max_queue} requests wait already, and no other caller has more of them"))
        if older is not None:
            older.settle(LateError("a newer request of the same caller took its place"))
        return ask.result()

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int, deadline_mono_s: float) -> Iterator[str]:
        """Pieces of the answer to a free question as they come; stop iterating to stop the model.

        Raises:
            As choose(); a deadline that passes in the middle of an answer raises LateError there.
        """
        talk = Talk(self._prepare(frame) if self._prepare else frame, prompt, max_tokens, deadline_mono_s)
        with self._changed:
            self._admit(sum(isinstance(other, Talk) for other in self._talks), MAX_TALKS)
            self._talks.append(talk)
            self._changed.notify()
        return talk.read()

    def between(self, work: Callable[[], None]) -> None:
        """Runs a step on the model's thread when no choose() waits; returns when it is done, raises what it raised.

        For engines that share the model (the HTTP server's): each step is one token at most.
        """
        step = Step(work)
        with self._changed:
            self._admit(0, 1)
            self._talks.append(step)
            self._changed.notify()
        step.wait()

    def when_lost(self, told: Callable[[DeviceLostError], None]) -> None:
        """told is called once, on the model's thread, when its device is lost: time for a new process."""
        self._when_lost = told

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
                asks = self._next_asks()
                talk = self._talks.popleft() if not asks and self._talks else None
            if asks:
                self._answer([ask for ask in asks if self._acceptable(ask)])
            elif isinstance(talk, Step):
                self._report(talk.run(), known=True)
            elif talk is not None and self._advance(talk):
                with self._changed:
                    self._talks.append(talk)
        self._turn_away()

    def _next_asks(self) -> List[Ask]:
        """The next batch: of those whose turn it is, who can still be answered in time. When nobody can, they are tried
        all the same, because the model may have become quicker. Holds the lock."""
        now_s, need_s = time.monotonic(), min(self._took_s, default=0.0)
        asks: List[Ask] = []
        hopeless: List[Ask] = []
        while self._asks and len(asks) < self._max_batch:
            for ask in self._asks.take(self._max_batch - len(asks)):
                if now_s >= ask.deadline_s:
                    ask.settle(LateError("the deadline passed in the queue"))
                else:
                    (asks if now_s + need_s < ask.deadline_s else hopeless).append(ask)
        if not asks:
            asks, hopeless = hopeless[: self._max_batch], hopeless[self._max_batch :]
        for ask in hopeless:
            ask.settle(LateError(f"the deadline would have passed before the answer ({1e3 * need_s:.0f} ms)"))
        return asks

    def _acceptable(self, ask: Ask) -> bool:
        try:
            self._vlm.check_choices(ask.question.words)
        except Exception as err:  # delivered, whatever it is: this thread must live
            ask.settle(err)
            return False
        return True

    def _answer(self, asks: Sequence[Ask]) -> None:
        """One forward pass for all of them; when that fails, in halves down to each alone, unless all must fail."""
        if not asks:
            return
        began_s = time.monotonic()
        try:
            replies = self._vlm.choose([ask.frame for ask in asks], [ask.question for ask in asks])
        except Exception as err:
            if len(asks) > 1 and not isinstance(err, OF_ALL):
                self._answer(asks[: len(asks) // 2])
                self._answer(asks[len(asks) // 2 :])
                return
            self._report(err)
            for ask in asks:
                ask.settle(err)
            return
        self._took_s.append(time.monotonic() - began_s)
        infer_ms = 1e3 * self._took_s[-1]
        for ask, reply in zip(asks, replies):
            timings = Timings(reply.timings.decode_ms, 1e3 * (began_s - ask.asked_s), infer_ms)
            ask.settle(replace(reply, timings=timings))

    def _advance(self, talk: Talk) -> bool:
        """One more token; False when the talk is over."""
        if talk.abandoned or time.monotonic() >= talk.deadline_s:
            talk.finish(LateError("the deadline passed before the answer was complete"))
            return False
        try:
            if talk.pieces is None:
                talk.pieces = self._vlm.generate(talk.frame, talk.prompt, talk.max_tokens)
            talk.mailbox.put(next(talk.pieces))
            return True
        except StopIteration:
            talk.finish(None)
        except Exception as err:  # as in _answer
            self._report(err)
            talk.finish(err)
        return False

    def _report(self, err: Optional[BaseException], known: bool = False) -> None:
        """known: whoever asked logs what is no VlmError."""
        if isinstance(err, DeviceLostError) and self._when_lost is not None:
            told, self._when_lost = self._when_lost, None
            told(err)
        elif err is not None and not (known or isinstance(err, VlmError)):
            log.error("the model failed in an unforeseen way; the request gets the error", exc_info=err)

    def _turn_away(self) -> None:
        closed = NotReadyError("the model's thread is closed")
        with self._changed:
            asks, talks = self._asks.take(len(self._asks)), list(self._talks)
        for ask in asks:
            ask.settle(closed)
        for talk in talks:
            if isinstance(talk, Step):
                talk.refuse(closed)
            else:
                talk.finish(closed)
