"""judge() must stop on every doubt, and let nothing but a sure, sane, calibrated reply say CLEAR."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.verdict import FALLBACK, Identity, Level, Reply, Thresholds, Timings, judge

LEVELS = (Level.CLEAR, Level.SLOW, Level.STOP)
RECORD = Thresholds(stop_at=0.2, clear_at=0.8, max_off_mass=0.1)
EYES = Identity("duckling", "0123", "float32", "fastvlm")


def reply(*probabilities: float, off_mass: float = 0.0) -> Reply:
    return Reply(tuple(probabilities), off_mass, "Clear", EYES)


@pytest.mark.parametrize(
    ("probabilities", "off_mass", "level"),
    [
        ((1.0, 0.0, 0.0), 0.0, Level.CLEAR),
        ((0.0, 0.0, 1.0), 0.0, Level.STOP),
        ((0.0, 1.0, 0.0), 0.0, Level.SLOW),
        ((0.8, 0.2, 0.0), 0.0, Level.CLEAR),  # at clear_at
        ((0.79, 0.21, 0.0), 0.0, Level.SLOW),  # just below clear_at
        ((0.8, 0.0, 0.2), 0.0, Level.STOP),  # at stop_at: STOP wins over CLEAR
        ((0.81, 0.0, 0.19), 0.0, Level.CLEAR),  # just below stop_at
        ((0.5, 0.31, 0.19), 0.0, Level.SLOW),
        ((1.0, 0.0, 0.0), 0.1, Level.CLEAR),  # at max_off_mass
        ((1.0, 0.0, 0.0), 0.11, Level.UNKNOWN),  # just above: the model said something else
        ((0.0, 0.0, 1.0), 0.11, Level.UNKNOWN),
        ((1.0, 0.0), 0.0, Level.UNKNOWN),  # a choice is missing
        ((1.0, 0.0, 0.0, 0.0), 0.0, Level.UNKNOWN),
        ((), 0.0, Level.UNKNOWN),
        ((math.nan, 0.0, 1.0), 0.0, Level.UNKNOWN),
        ((math.inf, 0.0, 0.0), 0.0, Level.UNKNOWN),
        ((1.0, 0.0, 0.0), math.nan, Level.UNKNOWN),
        ((1.0, 0.0, 0.0), -0.5, Level.UNKNOWN),
        ((1.5, -0.5, 0.0), 0.0, Level.UNKNOWN),  # sums to one, is no distribution
        ((1.002, -0.001, -0.001), 0.0, Level.UNKNOWN),
        ((1.0, 0.0, 0.0), 1.5, Level.UNKNOWN),
        ((0.5, 0.0, 0.0), 0.0, Level.UNKNOWN),  # sums to a half
        ((1.0, 0.0009, 0.0), 0.0, Level.CLEAR),  # rounding within the tolerance
        ((1.0, 0.0, -0.0009), 0.0, Level.CLEAR),
        ((1.0, 0.0019, 0.0), 0.0, Level.UNKNOWN),
    ],
)
def test_fault_table(probabilities: tuple, off_mass: float, level: Level) -> None:
    assert judge(reply(*probabilities, off_mass=off_mass), LEVELS, RECORD).level is level


def test_no_offered_choices_is_unknown() -> None:
    assert judge(reply(), (), RECORD).level is Level.UNKNOWN


def test_choices_of_one_level_are_added_up() -> None:
    levels = (Level.CLEAR, Level.STOP, Level.STOP)
    assert judge(reply(0.7, 0.15, 0.15), levels, RECORD).level is Level.STOP


def test_reason_begins_with_the_level_and_gives_the_numbers() -> None:
    assert judge(reply(0.9, 0.05, 0.05), LEVELS, RECORD).reason == "clear: p(stop) 0.050, p(clear) 0.900"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (reply(1.0, 0.0), "bad reply: 2 probabilities for 3 choices"),
        (reply(0.2, 0.2, 0.2), "bad reply: probabilities sum to 0.600"),
        (reply(math.nan, 0.0, 1.0), "bad reply: a probability is not a number between 0 and 1"),
        (reply(1.0, 0.0, 0.0, off_mass=0.43), "off the choices: 0.430 of the mass, at most 0.1 allowed"),
    ],
)
def test_every_doubt_is_named(bad: Reply, reason: str) -> None:
    assert judge(bad, LEVELS, RECORD).reason == reason


def test_uncalibrated_model_never_says_clear_or_slow() -> None:
    for probabilities in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        judgement = judge(reply(*probabilities), LEVELS, FALLBACK)
        assert judgement.level is Level.UNKNOWN
        assert judgement.reason == "uncalibrated: no threshold record for duckling 0123 float32 fastvlm"


def test_uncalibrated_stop_is_still_a_stop() -> None:
    assert judge(reply(0.0, 0.0, 1.0), LEVELS, FALLBACK).level is Level.STOP


def test_allowed_uncalibrated_clear_says_so() -> None:
    judgement = judge(reply(1.0, 0.0, 0.0), LEVELS, FALLBACK, allow_uncalibrated=True)
    assert judgement.level is Level.CLEAR
    assert judgement.reason.endswith(", uncalibrated")


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("stop_at", 0.0, False),
        ("stop_at", 0.5, True),
        ("stop_at", 0.51, False),
        ("clear_at", 0.5, True),
        ("clear_at", 0.49, False),
        ("clear_at", 1.0, True),
        ("clear_at", 1.01, False),
        ("max_off_mass", 0.0, False),
        ("max_off_mass", 1.0, True),
        ("max_off_mass", 1.01, False),
        ("max_off_mass", math.nan, False),
    ],
)
def test_thresholds_refuse_values_out_of_range(key: str, value: float, good: bool) -> None:
    values = {"stop_at": 0.2, "clear_at": 0.8, "max_off_mass": 0.1, key: value}
    if good:
        assert getattr(Thresholds(**values), key) == value
    else:
        with pytest.raises(ValueError, match=f"threshold {key} must be in"):
            Thresholds(**values)


def test_fallback_is_no_calibration() -> None:
    assert Thresholds(stop_at=0.2, clear_at=0.9, max_off_mass=0.1, calibrated=False) == FALLBACK


def test_timings_default_to_nothing() -> None:
    assert reply(1.0, 0.0, 0.0).timings == Timings(decode_ms=0.0, wait_ms=0.0, infer_ms=0.0)


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)


@given(st.lists(numbers, max_size=4), numbers)
def test_clear_needs_a_sane_distribution_with_its_mass_on_clear(probabilities: list, off_mass: float) -> None:
    level = judge(reply(*probabilities, off_mass=off_mass), LEVELS, RECORD).level
    sane = (
        len(probabilities) == 3
        and all(-1e-3 <= p <= 1 + 1e-3 for p in [*probabilities, off_mass])
        and abs(sum(probabilities) - 1) <= 1e-3
        and off_mass <= 0.1
    )
    assert (level is Level.CLEAR) == (sane and probabilities[2] < 0.2 and probabilities[0] >= 0.8)
    assert (level is not Level.UNKNOWN) == sane


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_probability_of_stop_never_lowers_the_level(split: float, stop: float) -> None:
    def level(p_stop: float) -> Level:
        rest = 1 - p_stop
        return judge(reply(rest * split, rest * (1 - split), p_stop), LEVELS, RECORD).level

    assert level(min(1.0, stop + 0.05)) >= level(stop)
