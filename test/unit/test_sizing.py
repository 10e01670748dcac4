"""The size of a batch is measured, within a time that a restarted node has, and never so large that frames grow old."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Question
from duck_protection.vlm import sizing
from duck_protection.vlm.base import MemoryFullError
from duck_protection.vlm.fastvlm import FastVlm


class Machine:
    """Takes as long as it is told for a picture in a batch of each size, on its own clock."""

    def __init__(self, picture_s: Callable[[int], float], room: int = 1000) -> None:
        self._picture_s, self._room = picture_s, room
        self.now_s = 0.0
        self.ran: List[int] = []

    def run(self, size: int) -> None:
        if size > self._room:
            raise MemoryFullError("full")
        self.ran.append(size)
        self.now_s += size * self._picture_s(size)

    def measured(self, most: int = 16) -> Dict[int, float]:
        return sizing.picture_s(self.run, most, lambda: self.now_s, lambda: self.now_s)


def chosen(picture_s: Callable[[int], float], **how: int) -> int:
    return sizing.best(Machine(picture_s, **how).measured())


def test_caches_make_a_middle_size_best() -> None:
    """Two cores, the duckling: 16.5, 11.4, 8.3, 5.8, 6.5 ms a picture, as measured."""
    assert chosen({1: 0.0165, 2: 0.0114, 4: 0.0083, 8: 0.0058, 16: 0.0065}.__getitem__) == 8
    assert chosen({1: 0.0170, 2: 0.0117, 4: 0.0110, 8: 0.0125, 16: 0.0156}.__getitem__) == 4


def test_of_sizes_that_hardly_differ_the_smallest() -> None:
    assert chosen(lambda _: 0.010) == 1
    assert chosen(lambda size: 0.010 if size < 4 else 0.0098) == 1
    assert chosen(lambda size: 0.002 + 0.008 / size) == 16  # a GPU


def test_a_batch_never_takes_longer_than_a_frame_can_wait() -> None:
    assert chosen(lambda size: 0.030 / size**0.1) == 2  # 4 would take 104 ms
    assert chosen(lambda _: 3.0) == 1  # even one takes too long; there is nothing else


def test_a_size_for_which_there_is_no_room_is_left_out() -> None:
    assert chosen(lambda size: 0.001 / size, room=4) == 4
    with pytest.raises(MemoryFullError):
        Machine(lambda _: 0.001, room=0).measured()


@given(st.floats(1e-4, 5.0), st.floats(0.2, 1.5), st.sampled_from([1, 2, 3, 8, 16]))
def test_it_takes_no_longer_than_its_time_and_one_batch(one_s: float, power: float, most: int) -> None:
    machine = Machine(lambda size: one_s * size ** (power - 1))
    measured = machine.measured(most)
    longest_s = max(size * machine._picture_s(size) for size in machine.ran)
    assert machine.now_s <= sizing.BUDGET_S + longest_s
    assert 1 in measured and max(measured) <= most and set(measured) <= {1, 2, 4, 8, 16}
    assert sizing.best(measured) in measured


def test_what_other_work_takes_is_not_counted_but_ends_it() -> None:
    """On a busy machine the wall's clock runs three times as fast as the process's own."""
    machine = Machine({1: 0.0165, 2: 0.0114, 4: 0.0083, 8: 0.0058, 16: 0.0065}.__getitem__)
    measured = sizing.picture_s(machine.run, 16, lambda: machine.now_s, lambda: 3 * machine.now_s)
    assert measured[8] == pytest.approx(0.0058) and sizing.best(measured) == 8
    assert machine.now_s < sizing.BUDGET_S / 3 + 0.11


def test_a_model_finds_its_own(tmp_path: Path, road: Question) -> None:
    tokenizer = tiny_tokenizer(road)
    vlm = FastVlm(str(saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "tiny")), "cpu")
    assert vlm.best_batch == sizing.USUAL
    measured = vlm.measure_batches(4)
    assert set(measured) <= {1, 2, 4} and vlm.best_batch == sizing.best(measured)
