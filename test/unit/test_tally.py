"""Counters and recent numbers."""
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.tally import REMEMBERED, Tally, quantile


def test_counts_are_sorted_by_name() -> None:
    tally = Tally()
    for name in ("late", "dropped", "late"):
        tally.count(name)
    assert list(tally.counts.items()) == [("dropped", 1), ("late", 2)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.0, 1.0))
def test_a_quantile_is_one_of_the_values_with_its_share_at_or_below(values: list, share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_a_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(Tally().recent("age", 0.5))


def test_only_recent_values_are_remembered() -> None:
    tally = Tally()
    for value in range(REMEMBERED + 10):
        tally.note("age", value)
    assert tally.recent("age", 0.0) == 10
    assert tally.recent("age", 1.0) == REMEMBERED + 9


@pytest.mark.parametrize(("rate_hz", "seconds"), [(30, 4), (100, 4), (5, 8)])
def test_a_steady_rate_is_told(rate_hz: int, seconds: int) -> None:
    tally = Tally()
    for number in range(rate_hz * seconds):
        tally.note("frame", number / rate_hz)
    assert tally.rate_hz("frame", float(seconds)) == pytest.approx(rate_hz, rel=0.05)


def test_a_rate_falls_to_zero_in_silence() -> None:
    tally = Tally()
    tally.note("frame", 1.0)
    assert tally.rate_hz("frame", 1.0) == 1.0
    assert tally.rate_hz("frame", 9.0) == 0.0
    assert tally.rate_hz("other", 1.0) == 0.0


def test_a_rate_counts_five_seconds_and_no_more() -> None:
    tally = Tally()
    tally.note("frame", 14.5)
    tally.note("frame", 15.0)
    assert tally.rate_hz("frame", 20.0) == 0.0
