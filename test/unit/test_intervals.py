"""Intervals: they hold the truth about as often as they say, and groups widen them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duck_protection.recording.intervals import LEAST_PLACES, PLACE_FRAMES, Interval, interval, share, wilson

ROOT = Path(__file__).parents[2]


def mean_of(values: np.ndarray):
    return lambda drawn: float(values[drawn].mean())


def test_the_same_samples_give_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(5, 1, 40)
    assert interval(mean_of(values), range(40)) == interval(mean_of(values), range(40))


def test_the_limit_on_run_over_ducks_needs_as_many_frames_as_the_framework_says() -> None:
    """decision.yaml and docs/migration.md: 1 % at most, sure of it from 381 STOP frames without one."""
    enough, too_few = (share([False] * n, range(n)).high for n in (381, 380))
    assert enough <= 0.01 < too_few
    for file in ("config/decision.yaml", "docs/migration.md"):
        assert "381 STOP frames" in (ROOT / file).read_text()


def test_the_limit_on_run_over_ducks_needs_as_many_places_as_the_guide_says() -> None:
    """381 frames of one place once counted as 381 places: sure of 1 % by looking at one duck."""
    enough, too_few = (share([False] * 760, np.arange(760) % places).high for places in (39, 38))
    assert enough <= 0.01 < too_few
    assert "381 STOP frames in the reporting half, of 39\nplaces" in (ROOT / "docs/migration.md").read_text()
    assert not share([False] * 381, [0] * 381).high < 0.01


@pytest.mark.parametrize("places", range(1, LEAST_PLACES + 1))
def test_few_places_tell_nothing_about_others_however_many_frames_they_have(places: int) -> None:
    hits = np.arange(400) % 40 > 0
    assert math.isfinite(share(hits, np.arange(400) % places).low) == (places == LEAST_PLACES)


def test_one_miss_never_makes_a_share_more_certain_than_none() -> None:
    """The bootstrap of one miss in 381 ends at 0.8 %, Wilson's interval of none at 1 %."""
    highs = [share([True] * misses + [False] * (381 - misses), range(381)).high for misses in range(4)]
    assert highs == sorted(set(highs))


def test_frames_of_a_place_beyond_the_tenth_make_no_share_more_certain() -> None:
    ten, hundred = (share([True] * 20 * n, np.repeat(range(20), n)) for n in (PLACE_FRAMES, 10 * PLACE_FRAMES))
    assert ten == hundred and ten.low > share([True] * 20, range(20)).low


def test_an_interval_of_95_percent_holds_the_truth_about_so_often() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(100):
        values = rng.normal(10, 2, 30)
        found = interval(mean_of(values), range(30), draws=300)
        held += found.low <= 10 <= found.high
    assert 86 <= held <= 99


def test_frames_of_one_place_count_as_little_more_than_one() -> None:
    """Ten places of ten equal frames: a hundred samples, but ten opinions."""
    values = np.repeat(np.random.default_rng(3).normal(0, 1, 10), 10)
    alone, together = (interval(mean_of(values), groups) for groups in (range(100), np.arange(100) // 10))
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_one_group_or_no_number_gives_no_interval() -> None:
    assert math.isnan(interval(mean_of(np.array([1.0, 2.0])), [0, 0]).low)
    assert math.isnan(interval(lambda _: math.nan, [0, 1]).value)
    assert math.isnan(share([], []).value)


@pytest.mark.parametrize(
    ("low", "high", "draw"),
    [(0.1, 0.4, False), (-0.4, -0.1, False), (-0.1, 0.1, True), (0.0, 0.0, True), (math.nan, math.nan, True)],
)
def test_a_difference_is_a_draw_unless_its_interval_leaves_zero_out(low: float, high: float, draw: bool) -> None:
    assert Interval(0.0, low, high).draw == draw


def test_no_miss_in_n_does_not_mean_never() -> None:
    """The bootstrap of 50 hits in 50 has no width; Wilson's interval does."""
    found = share([True] * 50, range(50))
    assert found.value == found.high == 1.0
    assert 0.92 < found.low < 0.94


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.data())
def test_wilsons_interval_holds_the_share_and_stays_between_0_and_1(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n + 1e-12 and hits / n - 1e-12 <= high <= 1
