"""Batcher.between: steps of the HTTP server's chats on the model's one thread, never before a waiting verdict."""

from __future__ import annotations

import threading
import time
from typing import Any, List

import numpy as np
import pytest

from duck_protection.vlm.base import NotReadyError
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

FRAME = np.zeros((48, 64, 3), dtype=np.uint8)


@pytest.fixture
def batcher() -> Any:
    made = Batcher(ScriptedVlm(lines_from([{"probabilities": {"Clear": 1}}])))
    yield made
    made.close()


def test_a_step_runs_on_the_models_thread_and_its_error_is_its_askers(batcher: Batcher, road: Any) -> None:
    threads: List[str] = []
    batcher.between(lambda: threads.append(threading.current_thread().name))
    assert threads == ["vlm"]

    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        batcher.between(fails)
    assert batcher.choose(FRAME, road, time.monotonic() + 5).text == "Clear"


def test_a_verdict_that_waits_goes_first(road: Any) -> None:
    vlm = ScriptedVlm(lines_from([{"probabilities": {"Clear": 1}}]))
    batcher, held, go, seen = Batcher(vlm), threading.Event(), threading.Event(), []

    def hold() -> None:
        held.set()
        go.wait(20)

    work = [
        threading.Thread(target=batcher.between, args=(hold,)),
        threading.Thread(target=batcher.between, args=(lambda: seen.append(list(vlm.batches)),)),
        threading.Thread(target=batcher.choose, args=(FRAME, road, time.monotonic() + 20)),
    ]
    for thread in work:
        thread.start()
        held.wait(20)
        threading.Event().wait(0.2)  # nothing says that a call has reached the queue
    go.set()
    for thread in work:
        thread.join(20)
    batcher.close()
    assert seen == [[1]], "the step, asked for before the verdict, ran before it"


def test_after_the_end_no_step_runs(batcher: Batcher) -> None:
    batcher.close()
    with pytest.raises(NotReadyError):
        batcher.between(lambda: None)
