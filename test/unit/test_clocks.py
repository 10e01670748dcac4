"""Ages across two clocks: corrected for an offset, never for latency, and never beyond the bound."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.clocks import JumpDetector, OffsetEstimate

T = 1.7e9  # a wall clock of these years


def test_without_frames_a_lag_is_an_age() -> None:
    assert OffsetEstimate(2.0).age_s(T, T + 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("lag_s", [0.0, 0.1, 0.25])
def test_a_lag_that_may_be_latency_stays_in_the_age(lag_s: float) -> None:
    estimate = OffsetEstimate(2.0)
    estimate.observe(T, T + lag_s - 1e-9, 1.0)
    assert estimate.age_s(T + 1, T + 1.3) == pytest.approx(0.3, abs=1e-5)


@pytest.mark.parametrize("offset_s", [-1.0, -0.01, 0.3, 1.9])
def test_an_offset_is_taken_out(offset_s: float) -> None:
    estimate = OffsetEstimate(2.0)
    estimate.observe(T, T + offset_s, 1.0)
    assert estimate.age_s(T + 1, T + 1 + offset_s + 0.2) == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize(("offset_s", "known"), [(1.99, True), (2.01, False), (-1.99, True), (-2.01, False)])
def test_beyond_the_bound_there_is_no_age(offset_s: float, known: bool) -> None:
    estimate = OffsetEstimate(2.0)
    estimate.observe(T, T + offset_s, 1.0)
    assert (estimate.age_s(T + 1, T + 1 + offset_s) is not None) == known


def test_a_growing_backlog_shows_as_age() -> None:
    """A link that falls behind must not be mistaken for a clock that is off."""
    estimate = OffsetEstimate(5.0, window_s=10.0)
    for step in range(50):
        estimate.observe(T + step * 0.1, T + step * 0.1 + 0.02 + step * 0.05, step * 0.15)
    assert estimate.age_s(T + 4.9, T + 4.9 + 0.02 + 49 * 0.05) == pytest.approx(2.47, abs=1e-3)


def test_the_smallest_lag_is_forgotten_after_the_window() -> None:
    estimate = OffsetEstimate(5.0, window_s=10.0)
    estimate.observe(T, T + 0.3, 0.0)
    estimate.observe(T, T + 1.0, 10.0)
    assert estimate.offset_s == pytest.approx(0.3, abs=1e-6)
    estimate.observe(T, T + 1.0, 10.1)
    assert estimate.offset_s == pytest.approx(1.0, abs=1e-6)


def test_reset_forgets() -> None:
    estimate = OffsetEstimate(5.0)
    estimate.observe(T, T + 1.0, 0.0)
    estimate.reset()
    assert estimate.offset_s == 0.0


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40))
def test_ages_are_never_negative_and_the_offset_is_the_smallest_lag(lags: list) -> None:
    estimate = OffsetEstimate(1.0)
    for number, lag_s in enumerate(lags):
        estimate.observe(0.0, lag_s, number * 0.01)
    assert estimate.offset_s == (0.0 if 0 <= min(lags) <= 0.25 else min(lags))
    age_s = estimate.age_s(0.0, lags[-1])
    assert age_s is None or age_s >= 0


@pytest.mark.parametrize(
    ("step_s", "jumps"), [(0.05, False), (0.09, False), (0.25, True), (-0.2, True), (math.nan, True)]
)
def test_a_clock_that_was_set_is_noticed_once(step_s: float, jumps: bool) -> None:
    detector = JumpDetector(0.1)
    assert not detector.jumped(T, 5.0)
    assert not detector.jumped(T + 60, 65.0)
    assert detector.jumped(T + 120 + step_s, 125.0) == jumps
    if math.isfinite(step_s):
        assert not detector.jumped(T + 121 + step_s, 126.0)


def test_limits_are_exact() -> None:
    """In numbers that floating point holds exactly."""
    estimate = OffsetEstimate(2.0)
    estimate.observe(100.0, 102.0, 1.0)
    assert estimate.age_s(100.0, 102.0) == 0.0
    detector = JumpDetector(0.5)
    assert not detector.jumped(10.0, 0.0)
    assert not detector.jumped(11.5, 1.0)


def test_a_smallest_lag_is_remembered_for_ten_seconds() -> None:
    estimate = OffsetEstimate(5.0)
    estimate.observe(100.0, 101.0, 0.0)
    estimate.observe(110.5, 113.5, 10.5)
    assert estimate.offset_s == 3.0
