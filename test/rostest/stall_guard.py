"""Deadlines on a busy machine: a run in which the test itself was held up proves nothing, and is run again.

A thread beats every few milliseconds; when one of its gaps exceeds STALL_S, the machine took the processor away
from the test for that long, and a missed deadline may be the machine's. Such a run is void, repeated up to TRIES
times, and counted. A run that met its deadlines counts all the same: a stall makes everything later, never earlier.
"""
from __future__ import annotations

import functools
import threading
import time
from typing import Any, Callable

STALL_S = 0.05
BEAT_S = 0.005
TRIES = 5

void_runs = 0  # in this process, of all tests


class StallGuard:
    """Measures, while the with-block runs, the longest time for which this process got no processor."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> StallGuard:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ends.set()
        self._thread.join()

    @property
    def stalled(self) -> bool:
        """Whether the run is void."""
        return self.worst_s > STALL_S

    def _beat(self) -> None:
        before_s = time.monotonic()
        while not self._ends.is_set():
            time.sleep(BEAT_S)
            now_s = time.monotonic()
            self.worst_s = max(self.worst_s, now_s - before_s - BEAT_S)
            before_s = now_s


def undisturbed(test: Callable[..., None]) -> Callable[..., None]:
    """Decorates a test method that can be run again: a failure in a void run is no failure yet."""

    @functools.wraps(test)
    def runs(*args: Any) -> None:
        global void_runs
        for attempt in range(1, TRIES + 1):
            with StallGuard() as guard:
                try:
                    test(*args)
                    return
                except AssertionError as err:
                    failure = err
            if not guard.stalled:
                raise failure
            void_runs += 1
            print(f"{test.__name__}: run {attempt} is void, stalled for {guard.worst_s:.3f} s: {failure}", flush=True)
        raise AssertionError(f"void {TRIES} times, this machine is too busy; the last time: {failure}") from failure

    return runs


def seconds_until(claim: Callable[[], bool], limit_s: float, what: str) -> float:
    """How long it took until the claim was true.

    Raises:
        AssertionError: it was not within limit_s.
    """
    start_s = time.monotonic()
    while not claim():
        if time.monotonic() - start_s > limit_s:
            raise AssertionError(f"not within {limit_s:g} s: {what}")
        time.sleep(0.002)
    return time.monotonic() - start_s


def seconds_while(claim: Callable[[], bool], seconds: float, what: str) -> None:
    """Asserts that the claim stays true for that long."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if not claim():
            raise AssertionError(f"did not last {seconds:g} s: {what}")
        time.sleep(0.002)
