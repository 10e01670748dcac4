"""Only the newest frame is ever handed out, at once, and once."""
from __future__ import annotations

import threading
from typing import List

from hypothesis import given
from hypothesis import strategies as st

from duck_protection.slot import Slot


def test_a_frame_still_waiting_is_replaced_by_a_newer_one() -> None:
    slot: Slot[int] = Slot()
    for number in (1, 2, 3):
        slot.put(number)
    assert slot.take() == 3
    assert slot.replaced == 2
    assert slot.newest == 3


@given(st.lists(st.one_of(st.integers(), st.none())))
def test_every_thing_is_taken_once_or_replaced_or_waiting(steps: List[object]) -> None:
    """An integer is put; None takes, when something waits."""
    slot: Slot[object] = Slot()
    put: List[object] = []
    taken: List[object] = []
    waiting = False
    for step in steps:
        if step is not None:
            slot.put(step)
            put.append(step)
            waiting = True
        elif waiting:
            taken.append(slot.take())
            assert taken[-1] == put[-1]
            waiting = False
    assert len(put) == len(taken) + slot.replaced + waiting


def test_take_wakes_when_something_comes_and_ends_when_closed() -> None:
    slot: Slot[str] = Slot()
    taken: List[object] = []
    both = threading.Barrier(2, timeout=10)

    def taker() -> None:
        taken.append(slot.take())
        both.wait()
        taken.append(slot.take())

    thread = threading.Thread(target=taker, daemon=True)
    thread.start()
    slot.put("frame")
    both.wait()
    slot.close()
    thread.join(timeout=10)
    assert taken == ["frame", None]
    slot.put("later")
    assert slot.take() is None


def test_an_empty_slot_has_nothing_newest() -> None:
    assert Slot().newest is None


def test_what_was_put_is_newest_before_and_after_it_was_taken() -> None:
    slot: Slot[str] = Slot()
    slot.put("frame")
    assert slot.newest == "frame"
    thread = threading.Thread(target=slot.take, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive() and slot.newest == "frame"
