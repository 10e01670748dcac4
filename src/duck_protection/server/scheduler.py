"""Who talks with the model: a bounded queue before a fixed number of slots, all slots advancing together.

Answers: may this request wait, when does it begin, when must it end? Knows no HTTP. Promise: every accepted job gets
exactly one end (a reason or an error); what has begun goes on by a token after each pass over new prompts; a cancelled
or late one frees its slot at its next token; nothing waits beyond its deadline, and nobody fails for another's sake;
after drain() nothing new is accepted, and what has begun is finished.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, List, Optional, Sequence

from duck_protection.server.engine import Engine, Prompt, Talk, Token, Wanted
from duck_protection.server.errors import ApiError, broken, unavailable
from duck_protection.server.tallies import Tallies
from duck_protection.server.text import TextStream
from duck_protection.vlm.base import DeviceLostError, MemoryFullError

LOG = logging.getLogger(__name__)
CLOSING_S = 2.0  # a model that hangs longer is left behind with its (daemon) thread
Between = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Piece:
    """Text that became final with one token. `ended` is the finish reason with the last piece, else empty."""

    text: str
    token: Optional[Token]
    ended: str = ""


@dataclass
class Job:
    """One answer: what is asked, by when, and where its pieces go.

    Args:
        ends_s: Monotonic; it must have begun by then, and ends then with reason "length".
        sink: Called on the scheduler's thread with each Piece, or once with an ApiError. Must return at once.
    """

    prompt: Prompt
    wanted: Wanted
    max_tokens: int
    stops: Sequence[str]
    ends_s: float
    sink: Callable[[object], None]
    predict_s: float = math.inf  # from the first token on: llama.cpp's t_max_predict_ms
    cancelled: bool = False
    begun_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    tokens: int = 0
    queued_s: float = field(default_factory=time.monotonic)


class _Running:
    def __init__(self, job: Job, talk: Talk) -> None:
        self.job, self.talk, self.stream = job, talk, TextStream(job.stops)


class Scheduler:
    """Any thread may submit, cancel and drain.

    Args:
        between: Runs a step on the model's thread, between verdicts, and returns when it is done (Batcher.between).
        slots: Answers in the making at once.
        most_waiting: Answers that may wait for a slot; more are refused with 503.
    """

    def __init__(self, engine: Engine, between: Between, slots: int, most_waiting: int) -> None:
        self._engine, self._between = engine, between
        self.slots, self._most_waiting = slots, most_waiting
        self._waiting: List[Job] = []
        self._running: List[_Running] = []
        self._beginning = 0  # jobs whose prompts are being read
        self._change = threading.Condition()
        self._draining = self._stopped = False
        self.tallies = Tallies()
        self._thread = threading.Thread(target=self._serve, name="scheduler", daemon=True)
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """All of them or none.

        Raises:
            ApiError: 503, stopping or full.
        """
        with self._change:
            if self._draining:
                raise unavailable("the server is stopping")
            free = self.slots - len(self._running) - self._beginning
            if len(self._waiting) + len(jobs) > self._most_waiting + max(0, free):
                self.tallies.refused += 1
                raise unavailable(f"{len(self._waiting)} requests are waiting already; try again later")
            self._waiting.extend(jobs)
            self._change.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Nobody wants them any more."""
        with self._change:
            for job in jobs:
                job.cancelled = True
            self._change.notify()

    def counts(self) -> tuple[int, int]:
        """How many have a slot, how many wait."""
        with self._change:
            return len(self._running) + self._beginning, len(self._waiting)

    def drain(self) -> None:
        """Refuse what is new and what has not begun; finish what has."""
        with self._change:
            self._draining = True
            self._change.notify()

    def close(self) -> None:
        """End now; what still runs fails with 503."""
        with self._change:
            self._draining = self._stopped = True
            self._change.notify()
        self._thread.join(CLOSING_S)

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting or self._running or self._stopped))
                jobs = self._next()
                if self._stopped:
                    break
            try:
                if jobs:
                    self._between(lambda jobs=jobs: self._begin(jobs))
                    jobs = []  # each has begun or ended
                if self._running:  # however many prompts wait
                    self._between(self._advance)
            except Exception as err:  # the model's thread or device is gone: nobody can be served any more
                LOG.error("the model's thread failed: %s", err)
                self._beginning = 0
                self._fail_all(unavailable("the model has stopped"))
                for job in [] if isinstance(err, DeviceLostError) else jobs:  # of a lost device they know
                    self._fail(job, unavailable("the model has stopped"))
        self._fail_all(unavailable("the server is stopping"))

    def _next(self) -> List[Job]:
        """The next jobs to begin, after throwing out who must not wait any longer. Holds the lock."""
        now_s = time.monotonic()
        for job in list(self._waiting):
            gone = job.cancelled or self._draining or job.ends_s <= now_s
            if gone:
                self._waiting.remove(job)
                late = not job.cancelled and not self._draining
                self._fail(job, unavailable("the deadline passed while waiting" if late else "the server is stopping"))
        most = min(self.slots - len(self._running), self._engine.together)
        jobs, self._waiting = self._waiting[:most], self._waiting[most:]
        self._beginning = len(jobs)
        return jobs

    def _begin(self, jobs: Sequence[Job]) -> None:
        """All in one pass; when that fails, in halves down to each alone: nobody fails for another's sake.

        Raises:
            DeviceLostError: Each of the jobs has begun or ended all the same.
        """
        begun_s = time.monotonic()
        try:
            begun = self._engine.begin([job.prompt for job in jobs], [job.wanted for job in jobs])
        except Exception as err:
            lost, half = isinstance(err, DeviceLostError), len(jobs) // 2
            if half and not lost:
                try:
                    self._begin(jobs[:half])
                finally:
                    self._begin(jobs[half:])
                return
            with self._change:
                self._beginning -= len(jobs)
            for job in jobs:
                self._fail(job, _refusal(err))
            if lost:
                raise
            return
        first_s = time.monotonic()
        for job, (talk, token) in zip(jobs, begun):
            job.begun_s, job.first_s, job.last_s = begun_s, first_s, first_s
            job.ends_s = min(job.ends_s, first_s + job.predict_s)
            self.tallies.prompt(job.prompt.tokens, (first_s - begun_s) / len(jobs), begun_s - job.queued_s)
            running = _Running(job, talk)
            with self._change:
                self._running.append(running)
                self._beginning -= 1
            self._emit(running, token)

    def _advance(self) -> None:
        now_s = time.monotonic()
        for running in [r for r in self._running if r.job.cancelled or r.job.ends_s <= now_s]:
            self._finish(running, "" if running.job.cancelled else "length")
        batch = list(self._running)
        if not batch:
            return
        try:
            tokens = self._engine.advance([running.talk for running in batch])
        except Exception as err:
            self._fail_all(_refusal(err))
            if isinstance(err, DeviceLostError):
                raise
            return
        self.tallies.step(len(batch), time.monotonic() - now_s)
        for running, token in zip(batch, tokens):
            self._emit(running, token)

    def _emit(self, running: _Running, token: Token) -> None:
        job = running.job
        if running.talk.ended == "broken":
            self._remove(running)
            self._fail(job, broken("the answer cannot go on: no token may come next, or the model failed on it"))
            return
        job.tokens += 1
        job.last_s = time.monotonic()
        text = running.stream.feed(token.data)
        ended = "stop" if running.stream.stopped else running.talk.ended
        if not ended and 0 <= job.max_tokens <= job.tokens:
            ended = "length"
        if ended:
            self._finish(running, ended, text, token)
        else:
            job.sink(Piece(text, token))

    def _finish(self, running: _Running, ended: str, text: str = "", token: Optional[Token] = None) -> None:
        self._remove(running)
        self.tallies.done(ended or "cancelled")
        if ended:
            running.job.sink(Piece(text + running.stream.finish(), token, ended))

    def _remove(self, running: _Running) -> None:
        with self._change:
            self._running.remove(running)
        self._engine.end(running.talk)

    def _fail(self, job: Job, refusal: ApiError) -> None:
        self.tallies.done("cancelled" if job.cancelled else "failed")
        job.sink(refusal)

    def _fail_all(self, refusal: ApiError) -> None:
        for running in list(self._running):
            self._remove(running)
            self._fail(running.job, refusal)
        with self._change:
            waiting, self._waiting = (self._waiting, []) if self._stopped else ([], self._waiting)
        for job in waiting:
            self._fail(job, refusal)


def _refusal(err: Exception) -> ApiError:
    if isinstance(err, ApiError):
        return err
    if isinstance(err, DeviceLostError):
        return unavailable("the model has stopped")
    if isinstance(err, MemoryFullError):
        return unavailable("the model is out of memory for this request")
    LOG.error("a step of the model failed", exc_info=err)
    return broken("the model failed on this request")
