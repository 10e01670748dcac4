"""Many callers, one model: batches, deadlines, priorities, and a thread that nothing kills."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Callable, Iterator, List, Sequence, Tuple

import numpy as np
import pytest

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply
from duck_protection.vlm.base import (
    AnswerError,
    BusyError,
    ChoiceError,
    DeviceLostError,
    LateError,
    MemoryFullError,
    NotReadyError,
)
from duck_protection.vlm.batching import MAX_TALKS, Batcher
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

SOON_S = 20.0  # far beyond what any test needs, so that a slow machine fails none
STOP = {"probabilities": {"Stop": 1.0}}


def soon() -> float:
    return time.monotonic() + SOON_S


class SteppedVlm:
    """Waits for the test before each batch and each token, and tells what it is about to do."""

    identity = Identity("stepped", "0", "none", "scripted")

    def __init__(self) -> None:
        self.doing: queue.Queue[str] = queue.Queue()
        self.go = threading.Semaphore(0)

    def check_choices(self, words: Sequence[str]) -> None:
        if "Never" in words:
            raise ChoiceError("never")

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        assert len(questions) == len(frames)
        self._step(f"choose {len(frames)}")
        return [Reply((0.0, 0.0, 1.0), 0.0, str(frame[0, 0, 0]), self.identity) for frame in frames]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        assert frame.ndim == 3
        try:
            for number in range(max_tokens):
                self._step(f"token {number} of {prompt}")
                yield str(number)
        finally:
            self.doing.put(f"end of {prompt}")

    def now(self) -> str:
        return self.doing.get(timeout=SOON_S)

    def _step(self, what: str) -> None:
        self.doing.put(what)
        assert self.go.acquire(timeout=SOON_S)


@pytest.fixture
def stepped() -> Iterator[tuple[SteppedVlm, Batcher]]:
    vlm = SteppedVlm()
    batcher = Batcher(vlm, max_batch=4, max_queue=6)
    yield vlm, batcher
    vlm.go.release(1000)
    batcher.close()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def scripted(*lines: Any, **settings: int) -> tuple[ScriptedVlm, Batcher]:
    vlm = ScriptedVlm(lines_from(list(lines)))
    return vlm, Batcher(vlm, **settings)


def numbered(number: int) -> np.ndarray:
    return np.full((4, 4, 3), [[number], [7], [9], [11]], dtype=np.uint8)


def eventually(claim: Callable[[], bool]) -> None:
    end_s = soon()
    while not claim():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def ask_all(
    callers: ThreadPoolExecutor, batcher: Batcher, road: Question, numbers: Sequence[int]
) -> list[Future[Reply]]:
    """One choose() after the other into the queue, in this order."""
    asked = []
    for place, number in enumerate(numbers, 1):
        asked.append(callers.submit(batcher.choose, numbered(number), road, soon()))
        eventually(lambda place=place: len(batcher._asks) == place)  # type: ignore[misc]
    return asked


def test_whatever_waits_goes_into_one_batch_and_each_gets_its_own_reply(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    assert vlm.now() == "choose 1"  # nothing else waited, so nothing was waited for
    others = ask_all(callers, batcher, road, range(1, 7))
    vlm.go.release(3)
    assert [first.result(SOON_S).text, *(one.result(SOON_S).text for one in others)] == list("0123456")
    assert [vlm.now(), vlm.now()] == ["choose 4", "choose 2"]


def test_timings_tell_waiting_from_inferring(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    (second,) = ask_all(callers, batcher, road, [1])
    held_s = time.monotonic()
    vlm.go.release(2)
    assert second.result(SOON_S).timings.wait_ms > 0
    took_ms = 1e3 * (time.monotonic() - held_s)
    assert 0 < second.result().timings.infer_ms <= took_ms
    assert first.result().timings.infer_ms > 0


def test_a_deadline_that_passed_in_the_queue_is_late_and_never_asked(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    with pytest.raises(LateError):
        batcher.choose(numbered(1), road, time.monotonic())
    (third,) = ask_all_after(callers, batcher, road)
    vlm.go.release(2)
    assert third.result(SOON_S).text == "2"
    assert vlm.now() == "choose 1"
    assert first.result().text == "0"


def ask_all_after(callers: ThreadPoolExecutor, batcher: Batcher, road: Question) -> list[Future[Reply]]:
    asked = callers.submit(batcher.choose, numbered(2), road, soon())
    eventually(lambda: len(batcher._asks) == 2)
    return [asked]


def test_a_model_that_hangs_keeps_nobody_past_the_deadline(road: Question, picture: np.ndarray) -> None:
    vlm, batcher = scripted("hang")
    with pytest.raises(LateError):
        batcher.choose(picture, road, time.monotonic() + 0.05)
    with pytest.raises(LateError):
        list(batcher.generate(picture, "?", 5, time.monotonic() + 0.05))
    vlm.release()
    batcher.close()


def test_a_full_queue_is_busy(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    waiting = ask_all(callers, batcher, road, range(6))
    with pytest.raises(BusyError):
        batcher.choose(numbered(9), road, soon())
    vlm.go.release(3)
    assert len([one.result(SOON_S) for one in waiting]) == 6


def test_too_many_talks_are_busy(stepped: tuple[SteppedVlm, Batcher], picture: np.ndarray) -> None:
    vlm, batcher = stepped
    batcher.generate(picture, "first", 5, soon())
    vlm.now()
    for _ in range(MAX_TALKS):
        batcher.generate(picture, "more", 5, soon())
    with pytest.raises(BusyError):
        batcher.generate(picture, "one too many", 5, soon())


def test_a_verdict_goes_before_the_next_token(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question, picture: np.ndarray
) -> None:
    vlm, batcher = stepped
    talk = batcher.generate(picture, "talk", 3, soon())
    assert vlm.now() == "token 0 of talk"
    verdict = ask_all(callers, batcher, road, [5])[0]
    vlm.go.release()
    assert vlm.now() == "choose 1"
    vlm.go.release()
    assert verdict.result(SOON_S).text == "5"
    assert vlm.now() == "token 1 of talk"
    vlm.go.release(2)
    assert "".join(talk) == "012"


def test_talks_take_turns(stepped: tuple[SteppedVlm, Batcher], picture: np.ndarray) -> None:
    vlm, batcher = stepped
    one = batcher.generate(picture, "one", 2, soon())
    assert vlm.now() == "token 0 of one"
    two = batcher.generate(picture, "two", 2, soon())
    vlm.go.release(4)
    order = [vlm.now() for _ in range(3)]
    assert order == ["token 0 of two", "token 1 of one", "token 1 of two"]
    assert ("".join(one), "".join(two)) == ("01", "01")


def test_a_reader_who_leaves_ends_the_generation(stepped: tuple[SteppedVlm, Batcher], picture: np.ndarray) -> None:
    vlm, batcher = stepped
    talk = batcher.generate(picture, "talk", 100, soon())
    vlm.go.release()
    assert next(talk) == "0"
    talk.close()  # type: ignore[attr-defined]
    vlm.go.release(100)
    seen = [vlm.now()]
    while not seen[-1].startswith("end"):
        seen.append(vlm.now())
    assert len(seen) < 10


def test_errors_reach_their_callers_and_the_thread_lives(road: Question, picture: np.ndarray) -> None:
    _, batcher = scripted({"error": "AnswerError", "text": "odd"}, {"error": "MemoryFullError"}, STOP)
    with pytest.raises(AnswerError, match="odd"):
        batcher.choose(picture, road, soon())
    with pytest.raises(MemoryFullError):
        list(batcher.generate(picture, "?", 5, soon()))
    assert batcher.choose(picture, road, soon()).text == "Stop"
    batcher.close()


def test_a_bug_reaches_its_caller_is_logged_and_the_thread_lives(
    stepped: tuple[SteppedVlm, Batcher], road: Question, caplog: pytest.LogCaptureFixture
) -> None:
    vlm, batcher = stepped
    with pytest.raises(TypeError):
        batcher.choose(None, road, soon_after(vlm))  # type: ignore[arg-type]
    assert "unforeseen" in caplog.text
    vlm.go.release()
    assert batcher.choose(numbered(3), road, soon()).text == "3"


def soon_after(vlm: SteppedVlm) -> float:
    vlm.go.release()
    return soon()


def test_unusable_choices_fail_alone(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    never = replace(road, choices=(replace(road.choices[0], word="Never"), *road.choices[1:]))
    bad = callers.submit(batcher.choose, numbered(1), never, soon())
    eventually(lambda: len(batcher._asks) == 1)
    good = callers.submit(batcher.choose, numbered(2), road, soon())
    eventually(lambda: len(batcher._asks) == 2)
    vlm.go.release(2)
    with pytest.raises(ChoiceError):
        bad.result(SOON_S)
    assert good.result(SOON_S).text == "2"
    assert vlm.now() == "choose 1"


class SmallVlm(SteppedVlm):
    """Has room for one picture."""

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        replies = super().choose(frames, questions)
        if len(frames) > 1:
            raise MemoryFullError("one at a time")
        return replies


def test_a_batch_too_large_for_the_memory_is_halved(callers: ThreadPoolExecutor, road: Question) -> None:
    vlm = SmallVlm()
    batcher = Batcher(vlm)
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    others = ask_all(callers, batcher, road, [1, 2, 3])
    vlm.go.release(1000)
    assert [one.result(SOON_S).text for one in (first, *others)] == list("0123")
    batcher.close()


class ChoosyVlm(SteppedVlm):
    """Fails on the pictures of one number, as a real model does: the whole batch."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.batches = error, 0

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        self.batches += 1
        replies = super().choose(frames, questions)
        if "2" in [reply.text for reply in replies]:
            raise self.error
        return replies


def one_and_then(
    callers: ThreadPoolExecutor, batcher: Batcher, road: Question, numbers: List[int]
) -> Tuple[Any, List[Any]]:
    """Number 0 is being read while these come, so that they are one batch; then all are let go."""
    vlm: Any = batcher._vlm
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    others = ask_all(callers, batcher, road, numbers)
    vlm.go.release(1000)
    return first, others


@pytest.mark.parametrize("error", [AnswerError("too long"), TypeError("half a character")])
def test_a_request_that_the_model_cannot_answer_fails_alone_in_its_batch(
    callers: ThreadPoolExecutor, road: Question, error: Exception
) -> None:
    batcher = Batcher(ChoosyVlm(error))
    first, others = one_and_then(callers, batcher, road, [1, 2, 3, 4])
    with pytest.raises(type(error)):
        others[1].result(SOON_S)
    assert [one.result(SOON_S).text for one in (first, others[0], *others[2:])] == list("0134")
    batcher.close()


@pytest.mark.parametrize("error", [DeviceLostError("gone"), LateError("slow"), NotReadyError("away")])
def test_what_fails_for_all_is_not_tried_again_in_halves(
    callers: ThreadPoolExecutor, road: Question, error: Exception
) -> None:
    vlm = ChoosyVlm(error)
    batcher = Batcher(vlm)
    first, others = one_and_then(callers, batcher, road, [1, 2, 3])
    for one in others:
        with pytest.raises(type(error)):
            one.result(SOON_S)
    assert first.result(SOON_S).text == "0" and vlm.batches == 2
    batcher.close()


@pytest.mark.parametrize("way", ["choose", "generate", "between"])
def test_a_lost_device_is_told_once_and_each_asker_gets_the_error(
    way: str, road: Question, picture: np.ndarray
) -> None:
    vlm, batcher = scripted({"error": "DeviceLostError", "text": "gone"})
    told: list[DeviceLostError] = []
    batcher.when_lost(told.append)
    asks = {
        "choose": lambda: batcher.choose(picture, road, soon()),
        "generate": lambda: list(batcher.generate(picture, "talk", 3, soon())),
        "between": lambda: batcher.between(lambda: list(vlm.generate(picture, "talk", 3)) and None),
    }
    for _ in range(2):
        with pytest.raises(DeviceLostError, match="gone"):
            asks[way]()
    eventually(lambda: bool(told))
    assert len(told) == 1
    batcher.close()


def test_closing_turns_the_waiting_away_and_may_be_repeated(
    callers: ThreadPoolExecutor, road: Question, picture: np.ndarray
) -> None:
    vlm = SteppedVlm()
    batcher = Batcher(vlm)
    first = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    (second,) = ask_all(callers, batcher, road, [1])
    talk = batcher.generate(picture, "talk", 3, soon())
    closing = callers.submit(batcher.close)
    eventually(lambda: batcher._closed)
    vlm.go.release(10)
    closing.result(SOON_S)
    assert first.result(SOON_S).text == "0"
    for waiting in (lambda: second.result(SOON_S), lambda: list(talk)):
        with pytest.raises(NotReadyError):
            waiting()
    with pytest.raises(NotReadyError):
        batcher.choose(picture, road, soon())
    batcher.close()


def test_one_request_of_a_caller_waits_and_the_newest_wins(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    first = callers.submit(batcher.choose, numbered(0), road, soon(), caller="a")
    assert vlm.now() == "choose 1"
    older = callers.submit(batcher.choose, numbered(1), road, soon(), caller="a")
    eventually(lambda: len(batcher._asks) == 1)
    other = callers.submit(batcher.choose, numbered(2), road, soon(), caller="b")
    eventually(lambda: len(batcher._asks) == 2)
    newer = callers.submit(batcher.choose, numbered(3), road, soon(), caller="a")
    with pytest.raises(LateError, match="newer"):
        older.result(SOON_S)
    vlm.go.release(2)
    assert [first.result(SOON_S).text, other.result(SOON_S).text, newer.result(SOON_S).text] == ["0", "2", "3"]
    assert vlm.now() == "choose 2"


def test_under_overload_every_robots_frame_is_served_within_a_round(
    callers: ThreadPoolExecutor, road: Question
) -> None:
    """Nine robots that ask again at once, and one that keeps eight requests waiting: with batches of two nobody's
    request is older than the five batches of a round when its own begins, however long this goes on."""
    vlm = SteppedVlm()
    batcher, stop = Batcher(vlm, max_batch=2, max_queue=32), threading.Event()
    begun: list[int] = []  # number of the batch, in order
    waited: dict[str, list[int]] = {str(robot): [] for robot in range(10)}

    def drive(name: str, places: int) -> None:
        while not stop.is_set():
            asked_at = len(begun)
            with contextlib.suppress(LateError, NotReadyError):
                batcher.choose(numbered(0), road, soon(), caller=name, places=places)
                waited[name].append(len(begun) - asked_at)

    robots = [callers.submit(drive, name, 1) for name in list(waited)[1:]]
    greedy = [threading.Thread(target=drive, args=("0", 8), daemon=True) for _ in range(8)]
    for thread in greedy:
        thread.start()
    for _ in range(60):
        vlm.now()
        eventually(lambda: len(batcher._asks) >= 8 + 7)  # all who are not being served wait again
        begun.append(len(begun))
        vlm.go.release()
    counts = [len(rounds) for rounds in waited.values()]
    stop.set()
    vlm.go.release(1000)
    for robot in robots:
        robot.result(SOON_S)
    batcher.close()
    assert min(counts) >= 9 and max(counts) - min(counts) <= 3, counts  # 60 batches of two for ten
    assert max(max(waited[name]) for name in list(waited)[1:]) <= 6, waited


def test_a_caller_that_fills_the_queue_makes_room_for_others(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    greedy = []
    for number in range(6):  # as many as may wait
        greedy.append(callers.submit(batcher.choose, numbered(number), road, soon(), caller="http", places=32))
        eventually(lambda number=number: len(batcher._asks) == number + 1)  # type: ignore[misc]
    robot = callers.submit(batcher.choose, numbered(7), road, soon(), caller="robot")
    with pytest.raises(BusyError):
        greedy[0].result(SOON_S)
    vlm.go.release(3)
    assert robot.result(SOON_S).text == "7" and [one.result(SOON_S).text for one in greedy[1:]] == list("12345")


def test_a_full_queue_takes_a_newer_request_in_the_place_of_its_callers_older_one(
    stepped: tuple[SteppedVlm, Batcher], callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm, batcher = stepped
    callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    older = callers.submit(batcher.choose, numbered(1), road, soon(), caller="robot")
    eventually(lambda: len(batcher._asks) == 1)
    http = [callers.submit(batcher.choose, numbered(2 + n), road, soon(), caller="http", places=32) for n in range(5)]
    eventually(lambda: len(batcher._asks) == 6)  # as many as may wait
    newer = callers.submit(batcher.choose, numbered(9), road, soon(), caller="robot")
    with pytest.raises(LateError, match="newer"):
        older.result(SOON_S)
    vlm.go.release(3)
    assert newer.result(SOON_S).text == "9"
    assert sorted(one.result(SOON_S).text for one in http) == list("23456")  # it needed nobody else's place


def test_what_cannot_be_answered_in_time_gives_its_place_to_what_can(
    callers: ThreadPoolExecutor, road: Question
) -> None:
    vlm = SteppedVlm()
    batcher = Batcher(vlm, max_batch=1)
    slow = callers.submit(batcher.choose, numbered(0), road, soon())
    assert vlm.now() == "choose 1"
    threading.Event().wait(0.5)  # so the model needs at least half a second
    hopeless = callers.submit(batcher.choose, numbered(2), road, time.monotonic() + 0.45)
    eventually(lambda: len(batcher._asks) == 1)
    good = callers.submit(batcher.choose, numbered(3), road, soon())
    eventually(lambda: len(batcher._asks) == 2)
    vlm.go.release()
    with pytest.raises(LateError):
        hopeless.result(SOON_S)
    vlm.go.release()
    assert [slow.result(SOON_S).text, good.result(SOON_S).text] == ["0", "3"]
    assert vlm.now() == "choose 1" and vlm.doing.empty()  # the hopeless one was never asked
    batcher.close()


def test_one_slow_batch_turns_nobody_away_for_ever(callers: ThreadPoolExecutor, road: Question) -> None:
    """When nobody can be answered in time by what is known, the model is tried all the same."""
    vlm = SteppedVlm()
    batcher = Batcher(vlm)
    slow = callers.submit(batcher.choose, numbered(0), road, soon())
    vlm.now()
    threading.Event().wait(1.5)
    vlm.go.release(2)
    slow.result(SOON_S)
    assert batcher.choose(numbered(1), road, time.monotonic() + 1.4).text == "1"
    batcher.close()


def test_a_frame_is_prepared_in_its_callers_thread(road: Question) -> None:
    class Preparing(SteppedVlm):
        def prepare(self, frame: np.ndarray) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return frame + 1

    threads: list[str] = []
    vlm = Preparing()
    vlm.go.release()
    batcher = Batcher(vlm)
    assert batcher.choose(numbered(4), road, soon()).text == "5"
    assert threads == [threading.current_thread().name]
    batcher.generate(numbered(4), "?", 1, soon())
    assert threads == 2 * [threading.current_thread().name]
    batcher.close()


@pytest.mark.parametrize("settings", [{"max_batch": 0}, {"max_queue": 0}])
def test_room_for_nobody_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        scripted(STOP, **settings)
