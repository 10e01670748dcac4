"""How many verdicts a second a contender gives to a crowd: 1 to 16 clients, each with one question under way.

A model in process is asked through vlm_node's own queue, which batches; a server as it is. Promise: a window's
verdicts are counted in slices, so that the spread between slices gives an interval; what fails is counted apart.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, List, Sequence

import numpy as np

from duck_protection.comparison.contenders import Contender
from duck_protection.question import Question
from duck_protection.recording.intervals import Interval, interval
from duck_protection.vlm.base import VlmError
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.sizing import USUAL

CLIENTS = (1, 2, 4, 8, 16)
SLICE_S = 0.5
DEADLINE_S = 30.0

Ask = Callable[[np.ndarray], object]


@dataclass(frozen=True)
class Window:
    """What a crowd got in one window: verdicts in each slice, and how many requests failed."""

    slices: tuple[int, ...]
    failed: int


@contextmanager
def asking(contender: Contender, question: Question) -> Iterator[Ask]:
    """What one client does; any thread may. Raises VlmErrors."""
    inner = contender.vlm.inner
    if contender.is_server:
        yield lambda frame: inner.choose([frame], [question])
        return
    batcher = Batcher(inner, getattr(inner, "best_batch", USUAL), max_queue=2 * max(CLIENTS))
    try:
        yield lambda frame: batcher.choose(frame, question, time.monotonic() + DEADLINE_S)
    finally:
        batcher.close()


def window(ask: Ask, frames: Sequence[np.ndarray], clients: int, seconds: float) -> Window:
    """One crowd for so many seconds. Every request takes the next frame: a server that remembers its last pictures must
    gain nothing by that, as a camera never sends one twice."""
    following = itertools.count()
    begun_s = time.monotonic()
    done_s: List[List[float]] = [[] for _ in range(clients)]
    failed = [0] * clients

    def client(number: int) -> None:
        while time.monotonic() - begun_s < seconds:
            try:
                ask(frames[next(following) % len(frames)])
                done_s[number].append(time.monotonic() - begun_s)
            except VlmError:
                failed[number] += 1

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    edges = np.arange(0, seconds + SLICE_S / 2, SLICE_S)
    counted, _ = np.histogram([one for times in done_s for one in times if one < seconds], edges)
    return Window(tuple(int(count) for count in counted), sum(failed))


def rate(windows: Sequence[Window]) -> Interval:
    """Verdicts a second over these windows; the first slice of each, in which the crowd gathers, is left out."""
    counts = np.array([count for one in windows for count in one.slices[1:]], dtype=float)
    return interval(lambda drawn: float(counts[drawn].mean() / SLICE_S), list(range(len(counts))))


def difference(a: Sequence[Window], b: Sequence[Window]) -> Interval:
    """How many verdicts a second more b gives; slices are paired in order of time."""
    ours = [count for one in a for count in one.slices[1:]]
    theirs = [count for one in b for count in one.slices[1:]]
    gains = np.array(theirs, dtype=float) - np.array(ours, dtype=float)
    return interval(lambda drawn: float(gains[drawn].mean() / SLICE_S), list(range(len(gains))))
