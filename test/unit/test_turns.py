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


def test_room_is_made_by_whoever_has_most_waiting_and_by_nobody_who_has_as_few() -> None:
    turns: Turns[str] = Turns()
    for number in range(3):
        turns.add("greedy", f"g{number}", places=9)
    turns.add("b", "b0")
    assert turns.make_room("new") == "g0" and turns.make_room("greedy") is None
    assert turns.make_room("new") == "g1" and len(turns) == 2
    assert turns.make_room("new") is None  # one each
    assert turns.take(9) == ["g2", "b0"]
    assert Turns().make_room("new") is None
