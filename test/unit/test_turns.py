"""Turns between callers: what waits is served in rounds, and a caller's newest requests are the ones that stay."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from duck_protection.vlm.turns import Turns

EVENTS = st.lists(st.one_of(st.sampled_from("abcd"), st.integers(1, 3)), max_size=60)  # a caller asks; a batch goes


@given(EVENTS, st.integers(1, 3))
def test_between_two_requests_of_one_caller_every_other_that_waits_is_served(events: list, places: int) -> None:
    turns: Turns[tuple] = Turns()
    waits: dict[str, list[int]] = {name: [] for name in "abcd"}  # the model of it: numbers waiting, oldest first
    passed: Counter = Counter()  # how often others were served while this pair waited
    for number, event in enumerate(events):
        if isinstance(event, str):
            displaced = turns.add(event, (event, number), places)
            waits[event].append(number)
            assert displaced == ((event, waits[event].pop(0)) if len(waits[event]) > places else None)
        else:
            for name, which in turns.take(event):
                assert which == waits[name].pop(0)
                for other in "abcd":
                    passed[other, name] = passed[other, name] + 1 if waits[other] and other != name else 0
                    passed[name, other] = 0
                    assert passed[other, name] <= 1, f"{name} was served twice while {other} waited"
        assert len(turns) == sum(map(len, waits.values()))


def test_a_batch_is_as_large_as_what_waits_allows() -> None:
    turns: Turns[int] = Turns()
    for number in range(3):
        turns.add("a", number, places=3)
    turns.add("b", 9)
    assert turns.take(3) == [0, 9, 1]
    assert turns.take(3) == [2] and turns.take(3) == [] and len(turns) == 0


def test_one_too_many_costs_whoever_has_most_waiting_else_the_newcomer() -> None:
    turns: Turns[str] = Turns()
    for number in range(3):
        turns.add("greedy", f"g{number}", places=9)
    turns.add("b", "b0")
    turns.add("new", "n0")
    assert turns.crowd_out("new") == "g0"
    turns.add("greedy", "g3", places=9)
    assert turns.crowd_out("greedy") == "g3"
    turns.add("other", "o0")
    assert turns.crowd_out("other") == "g1" and len(turns) == 4
    turns.add("last", "l0")
    assert turns.crowd_out("last") == "l0"  # one each
    assert turns.take(9) == ["g2", "b0", "n0", "o0"] and len(turns) == 0
