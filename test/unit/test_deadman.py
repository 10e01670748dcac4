"""The watchdog's logic: zeros in every silence, and an emergency stop that never undoes a person's."""
from __future__ import annotations

import math
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.deadman import Deadman, Orders
from duck_protection.fresh import Fresh

SILENCE_S = 0.2


def beaten(mono_s: float = 10.0) -> Deadman:
    """A watchdog that has just heard its first heartbeat."""
    deadman = Deadman(SILENCE_S)
    deadman.beat(mono_s)
    assert deadman.orders(mono_s) == Orders(zero=False)
    return deadman


def test_before_the_first_heartbeat_it_holds_the_wheels_but_leaves_the_shared_flag_alone() -> None:
    deadman = Deadman(SILENCE_S)
    assert [deadman.orders(mono_s) for mono_s in (0.0, 0.05, 99.0)] == [Orders(zero=True)] * 3


@pytest.mark.parametrize(("silent_s", "zero"), [(0.199, False), (0.2, False), (0.2001, True), (math.nan, True)])
def test_silence_begins_just_after_its_limit(silent_s: float, zero: bool) -> None:
    assert beaten(0.0).orders(silent_s).zero is zero


@pytest.mark.parametrize(
    ("told", "zero_from_s"),
    [
        ([(0.0, True)], 0.31),
        ([(0.0, True), (0.2, True)], 0.51),
        ([(0.0, True), (0.2, False)], math.inf),
        ([], math.inf),
    ],
)
def test_wheels_that_turn_and_hear_no_more_are_stopped_though_the_guard_is_well(
    told: List[Tuple[float, bool]], zero_from_s: float
) -> None:
    """A dead switch or kinematics node kept the robot driving while the guard said zero into nothing."""
    deadman, waiting = Deadman(SILENCE_S, 0.31), list(told)
    for tick in range(40):
        mono_s = 0.05 * tick
        deadman.beat(mono_s)
        while waiting and waiting[0][0] <= mono_s:
            deadman.wheels(waiting.pop(0)[1], mono_s)
        assert deadman.orders(mono_s) == Orders(zero=mono_s > zero_from_s), mono_s  # and no flag
    deadman.wheels(True, 2.0)
    deadman.beat(2.0)
    assert deadman.orders(2.0) == Orders(False)


def test_the_emergency_stop_is_set_once_per_silence_and_taken_back() -> None:
    deadman = beaten(10.0)
    said = [deadman.orders(10.0 + 0.05 * tick) for tick in range(4, 10)]
    assert said == [Orders(False), Orders(True, True), *[Orders(True)] * 4]
    deadman.beat(10.5)
    assert [deadman.orders(10.5), deadman.orders(10.55)] == [Orders(False, False), Orders(False)]
    assert deadman.orders(11.0) == Orders(True, True)  # the next silence


def test_a_persons_stop_before_the_silence_is_never_taken_back() -> None:
    deadman = beaten(10.0)
    deadman.others_said(True)
    assert deadman.orders(11.0) == Orders(True)
    deadman.beat(12.0)
    assert deadman.orders(12.0) == Orders(False)


def test_a_persons_stop_during_the_silence_is_never_taken_back() -> None:
    deadman = beaten(10.0)
    assert deadman.orders(11.0) == Orders(True, True)
    deadman.others_said(True)
    deadman.beat(12.0)
    assert deadman.orders(12.0) == Orders(False)


def test_a_stop_that_a_person_cleared_is_not_fought_over() -> None:
    deadman = beaten(10.0)
    assert deadman.orders(11.0) == Orders(True, True)
    deadman.others_said(False)
    assert deadman.orders(11.1) == Orders(True)  # zeros go on all the same
    deadman.beat(12.0)
    assert deadman.orders(12.0) == Orders(False)


def test_a_watchdog_that_was_started_anew_knows_whose_the_flag_is() -> None:
    """One that died with a person's stop set, or with its own: the next one must not undo the first, but the second."""
    person, own = beaten(10.0), beaten(10.0)
    person.others_said(True)
    own.orders(11.0)
    assert (person.remembered, own.remembered, beaten().remembered) == ("theirs", "mine", "")
    for before, said in ((person, []), (own, [False])):
        after = Deadman(SILENCE_S, remembered=before.remembered)
        after.beat(20.0)
        told = [after.orders(mono_s).emergency_stop for mono_s in (20.0, 20.1)]
        assert [one for one in told if one is not None] == said
    after = Deadman(SILENCE_S, remembered=person.remembered)
    after.beat(20.0)
    assert after.orders(20.0) == Orders(False)
    assert after.orders(21.0) == Orders(True, True)  # a silence: it may have been cleared while no watchdog ran
    after.beat(22.0)
    assert after.orders(22.0) == Orders(False)
    after.others_said(True)
    assert after.orders(23.0) == Orders(True)  # now it is known to be set
    after.others_said(False)
    assert after.remembered == ""


events = st.lists(st.sampled_from(["beat", "set", "clear", "wait"]), max_size=60)


@given(events)
def test_zeros_exactly_in_silence_and_never_a_clear_over_a_persons_stop(story: List[str]) -> None:
    deadman, mono_s, beat_s, person = Deadman(SILENCE_S), 0.0, -math.inf, False
    for event in story:
        mono_s += 0.25 if event == "wait" else 0.01
        if event == "beat":
            deadman.beat(mono_s)
            beat_s = mono_s
        elif event in ("set", "clear"):
            person = event == "set"
            deadman.others_said(person)
        orders = deadman.orders(mono_s)
        assert orders.zero == (mono_s - beat_s > SILENCE_S)
        assert not (orders.emergency_stop is False and person)
        assert not (orders.emergency_stop and not orders.zero)


@pytest.mark.parametrize(("age_s", "held"), [(0.0, True), (0.25, True), (0.2501, False), (math.nan, False)])
def test_a_fresh_value_dies(age_s: float, held: bool) -> None:
    fresh = Fresh[str](0.25)
    assert fresh.at(8.0) is None
    fresh.put("command", 8.0)  # eight and a quarter are exact in binary
    assert (fresh.at(8.0 + age_s) == "command") is held
