"""Worker processes that die do not cost a campaign; errors do end it."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Tuple

import pytest

from duck_protection.simulation.workers import in_order


def square(number: int) -> int:
    return number * number


def die_once(job: Tuple[int, str]) -> int:
    number, memory = job
    if number == 3 and not Path(memory).exists():
        Path(memory).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise ValueError(f"job {number}")


def test_results_come_in_order() -> None:
    assert list(in_order(square, range(7), 2)) == [0, 1, 4, 9, 16, 25, 36]


def test_a_worker_that_dies_costs_nothing_but_time(tmp_path: Path) -> None:
    jobs = [(number, str(tmp_path / "died")) for number in range(6)]
    assert list(in_order(die_once, jobs, 2)) == list(range(6))
    assert (tmp_path / "died").exists()


def test_a_job_that_always_kills_is_given_up() -> None:
    with pytest.raises(BrokenProcessPool):
        list(in_order(die, [1], 1))


def test_an_error_is_raised() -> None:
    with pytest.raises(ValueError, match="job 1"):
        list(in_order(fail, [1, 2], 1))
