"""What the steady tick says: the last verdict while it is young, and otherwise who fell silent."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.watch import Patience, Watch, Word

PATIENCE = Patience(max_age_s=0.4, silence_s=0.35, deadline_s=0.25)


def watching() -> Watch[str]:
    """A frame came and was judged at 10 s."""
    watch: Watch[str] = Watch(PATIENCE)
    watch.came(10.0)
    watch.judged("verdict", 10.0)
    return watch


def test_before_the_first_frame_there_is_none() -> None:
    assert Watch(PATIENCE).word(1.0) == Word(None, "no_frame: no picture has come since the start")


def test_a_first_frame_that_is_not_judged_yet_is_no_verdict() -> None:
    watch: Watch[str] = Watch(PATIENCE)
    watch.came(1.0)
    assert watch.word(1.0).reason.startswith("start:")


@pytest.mark.parametrize(
    ("age_s", "repeats"),
    [(0.0, True), (0.1, True), (0.399, True), (0.4, False), (0.401, False), (9.0, False)],
)
def test_a_verdict_is_repeated_unchanged_until_its_frame_is_too_old(age_s: float, repeats: bool) -> None:
    watch = watching()
    watch.came(10.0 + age_s)
    word = watch.word(10.0 + age_s)
    old = Word(None, f"old: the newest judged frame is {age_s:.2f} s old")
    assert word == (Word("verdict", "") if repeats else old)


@pytest.mark.parametrize(
    ("silent_s", "says"), [(0.349, ""), (0.351, "camera: silent for 0.4 s"), (1.2, "camera: silent for 1.2 s")]
)
def test_a_silent_camera_is_named_even_while_the_verdict_is_young(silent_s: float, says: str) -> None:
    assert watching().word(10.0 + silent_s).reason == says


def test_a_model_that_does_not_answer_is_named() -> None:
    watch = watching()
    watch.asked(10.2)
    watch.came(10.44)
    assert watch.word(10.44).reason.startswith("old:")
    watch.came(10.46)
    assert watch.word(10.46).reason == "model: no answer within 0.25 s"
    watch.judged("verdict", 10.45)
    assert watch.word(10.46) == Word("verdict", "")


def test_a_frozen_camera_is_named_even_while_the_verdict_is_young() -> None:
    watch = watching()
    for number in range(1, 13):
        watch.came(10.0 + number / 30)
        watch.repeated()
    assert watch.word(10.349) == Word("verdict", "")
    assert watch.word(10.351).reason == "frozen: the camera repeats one picture, 12 times so far"
    watch.judged("next", 10.46)
    assert watch.word(10.47) == Word("next", "")


def test_a_picture_that_came_twice_is_no_frozen_camera() -> None:
    watch = watching()
    watch.repeated()
    watch.judged("next", 10.07)
    watch.came(10.4)
    assert watch.word(10.43) == Word("next", "")


times_s = st.floats(0.0, 3.0)
events = st.lists(st.tuples(st.sampled_from(["came", "asked", "repeated", "judged"]), times_s), max_size=20)


@given(events, times_s)
def test_only_a_young_verdict_is_ever_repeated(steps: list, now_s: float) -> None:
    watch: Watch[float] = Watch(PATIENCE)
    last = None
    for name, time_s in steps:
        if name == "judged":
            watch.judged(time_s, time_s)
            last = time_s
        elif name == "repeated":
            watch.repeated()
        else:
            getattr(watch, name)(time_s)
    word = watch.word(now_s)
    assert (word.repeat is None) == (word.reason != "")
    if word.repeat is not None:
        assert word.repeat == last
        assert now_s - word.repeat < PATIENCE.max_age_s
    else:
        assert word.reason.split(":")[0] in {"no_frame", "camera", "start", "model", "frozen", "old"}


EXACT = Patience(max_age_s=0.5, silence_s=0.25, deadline_s=0.125)  # floating point holds these exactly


def at_sixteen() -> Watch[str]:
    watch: Watch[str] = Watch(EXACT)
    watch.came(16.0)
    watch.judged("verdict", 16.0)
    return watch


def test_each_limit_counts_as_passed() -> None:
    assert at_sixteen().word(16.25).reason.startswith("camera: silent")
    repeating = at_sixteen()
    repeating.repeated()
    repeating.came(16.25)
    assert repeating.word(16.25).reason.startswith("frozen: ")
    old = at_sixteen()
    old.came(16.5)
    assert old.word(16.5) == Word(None, "old: the newest judged frame is 0.50 s old")
    waiting = at_sixteen()
    waiting.came(16.75)
    waiting.asked(16.625)
    assert waiting.word(16.75).reason == "model: no answer within 0.125 s"


def test_a_camera_that_was_frozen_from_the_start_is_named() -> None:
    watch: Watch[str] = Watch(EXACT)
    watch.came(16.0)
    watch.repeated()
    assert watch.word(16.0).reason.startswith("frozen: ")
