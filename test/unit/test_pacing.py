"""Pictures over a slow network: as many under way as come back, never a queue, and always a way back."""
from __future__ import annotations

from collections import deque
from typing import Deque, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.pacing import Pace, Pacer
from duck_protection.settings import SettingsError


def test_two_go_and_the_third_waits_for_an_answer() -> None:
    pacer = Pacer(Pace(window=2))
    for stamp in (1, 2):
        assert pacer.may_send(0.0)
        pacer.sent(stamp, 0.0)
    assert not pacer.may_send(0.5)
    pacer.heard(1, 0.5)
    assert pacer.may_send(0.5) and pacer.round_trip_s == 0.5


def test_an_answer_to_a_newer_picture_answers_the_older_ones_that_were_passed_over() -> None:
    pacer = Pacer(Pace(window=2))
    pacer.sent(1, 0.0)
    pacer.sent(2, 0.1)
    pacer.heard(2, 0.3)
    pacer.sent(3, 0.3)
    assert pacer.may_send(0.3)


def test_a_verdict_about_nothing_that_is_under_way_makes_no_room() -> None:
    """The steady tick repeats verdicts, and says UNKNOWN with a stamp of zero."""
    pacer = Pacer(Pace(window=1))
    pacer.sent(10, 0.0)
    for stamp in (0, 9):
        pacer.heard(stamp, 0.1)
        assert not pacer.may_send(0.1)


def test_after_a_silence_one_more_is_tried_and_counted() -> None:
    pacer = Pacer(Pace(window=1, give_up_s=1.0))
    pacer.sent(1, 0.0)
    assert not pacer.may_send(0.99)
    assert pacer.may_send(1.0) and pacer.given_up == 1


@given(st.floats(0.005, 0.5), st.floats(0.0, 0.3), st.integers(1, 4))
def test_the_age_stays_bounded_on_any_link_where_an_unpaced_camera_would_queue(
    transfer_s: float, way_s: float, window: int
) -> None:
    """A link that takes transfer_s for each picture, one after the other, and way_s besides, each way."""
    pacer, ages = Pacer(Pace(window=window, give_up_s=10.0)), []
    free_s = 0.0
    answers: Deque[Tuple[float, int, float]] = deque()  # when it comes, about which, taken when
    for frame in range(300):
        now_s = frame / 30
        while answers and answers[0][0] <= now_s:
            came_s, stamp, born_s = answers.popleft()
            pacer.heard(stamp, came_s)
            ages.append(came_s - born_s)
        if pacer.may_send(now_s):
            pacer.sent(frame + 1, now_s)
            free_s = max(free_s, now_s) + transfer_s
            answers.append((free_s + 2 * way_s, frame + 1, now_s))
    assert ages and max(ages) <= window * transfer_s + 2 * way_s + 1e-9


@pytest.mark.parametrize("bad", [{"window": 0}, {"window": 11}, {"give_up_s": 0.0}, {"give_up_s": float("nan")}])
def test_bad_settings_are_refused(bad: dict) -> None:
    with pytest.raises(SettingsError):
        Pace(**bad)


def test_many_answers_at_once_leave_nothing_behind() -> None:
    pacer = Pacer(Pace(window=10))
    for stamp in range(1, 11):
        pacer.sent(stamp, 0.0)
    pacer.heard(10, 0.1)
    assert pacer.may_send(0.1) and pacer.given_up == 0


def test_what_was_given_up_is_counted_in_all_and_a_round_trip_is_a_duration() -> None:
    pacer = Pacer(Pace(window=1, give_up_s=1.0))
    assert pacer.round_trip_s is None
    for begun_s in (10.0, 20.0):
        assert pacer.may_send(begun_s)
        pacer.sent(int(begun_s), begun_s)
        assert pacer.may_send(begun_s + 1.0)
    assert pacer.given_up == 2
    pacer.sent(30, 30.0)
    pacer.heard(30, 30.25)
    assert pacer.round_trip_s == 0.25
