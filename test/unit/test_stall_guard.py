"""The rule for deadlines on a busy machine: a void run is repeated, a failure is never swallowed."""
from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import List

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rostest"))

from stall_guard import STALL_S, TRIES, StallGuard, seconds_until, seconds_while, undisturbed


def stall() -> None:
    """Holds the interpreter's lock, as if the machine had taken the processor away from the whole process."""
    ctypes.PyDLL(None).usleep(int(3 * STALL_S * 1e6))


def test_a_stall_is_noticed() -> None:
    with StallGuard() as guard:
        stall()
    assert guard.stalled


def test_a_failure_in_a_void_run_is_run_again() -> None:
    runs: List[int] = []

    @undisturbed
    def fails_twice() -> None:
        runs.append(1)
        stall()
        assert len(runs) == 3, "too late"

    fails_twice()
    assert len(runs) == 3


def test_void_every_time_is_a_failure_that_says_so() -> None:
    runs: List[int] = []

    @undisturbed
    def fails() -> None:
        runs.append(1)
        stall()
        raise AssertionError("too late")

    with pytest.raises(AssertionError, match=f"void {TRIES} times.*too late"):
        fails()
    assert len(runs) == TRIES


def test_another_error_is_never_run_again() -> None:
    runs: List[int] = []

    @undisturbed
    def breaks() -> None:
        runs.append(1)
        stall()
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        breaks()
    assert len(runs) == 1


def test_claims() -> None:
    assert seconds_until(lambda: True, 0.0, "at once") < 1.0
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: never"):
        seconds_until(lambda: False, 0.01, "never")
    with pytest.raises(AssertionError, match="did not last"):
        seconds_while(lambda: False, 0.01, "never")
    seconds_while(lambda: True, 0.01, "always")
