"""Marks: right is right, nothing usable is nothing, and chance is found out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparison_kit import LEVELS, ROAD, knowing, reading

from duck_protection.comparison.agreement import agreement, disagreements
from duck_protection.comparison.scoring import chance, costs, marks, thresholds_from
from duck_protection.learning.marking import calibration, likeliest
from duck_protection.verdict import Level

TRUTHS = [LEVELS[number % 3] for number in range(60)]
PLACES = [number // 3 for number in range(60)]


def test_a_model_that_knows_gets_full_marks() -> None:
    readings = [knowing(truth) for truth in TRUTHS]
    got = marks(readings, ROAD, thresholds_from(readings, ROAD), PLACES)
    assert (got.accuracy.value, got.stop_recall.value) == (1, 1)
    assert (got.stop_judged_clear.value, got.false_stops.value) == (0, 0)
    assert got.better_than_chance and got.cost == 0
    assert got.calibration_error == pytest.approx(1 / 3 * 0.1 + 2 / 3 * 0.05)


def test_a_model_that_always_says_the_same_is_no_better_than_chance_however_often_it_is_right() -> None:
    truths = [Level.CLEAR] * 90 + [Level.STOP] * 10
    got = marks([reading(truth, [0.8, 0.1, 0.1]) for truth in truths], ROAD, None, range(100))
    assert got.accuracy.value == 0.9
    assert got.chance_p == 1 and not got.better_than_chance


def test_a_model_that_guesses_is_found_out() -> None:
    rng = np.random.default_rng(4)
    guesses = [reading(truth, rng.dirichlet([1, 1, 1])) for truth in TRUTHS]
    assert not marks(guesses, ROAD, None, PLACES).better_than_chance


@pytest.mark.parametrize(
    ("probabilities", "off_mass", "level"),
    [
        ([0.2, 0.5, 0.3], 0.0, Level.SLOW),
        ([0.2, 0.5, 0.3], 0.5, Level.SLOW),
        ([0.2, 0.5, 0.3], 0.51, Level.UNKNOWN),  # its own answer was none of the choices
        ([0.4, 0.4, 0.2], 0.0, Level.UNKNOWN),  # a tie
        ([math.nan] * 3, math.nan, Level.UNKNOWN),  # a failure
    ],
)
def test_the_likeliest_level(probabilities: list, off_mass: float, level: Level) -> None:
    assert likeliest(reading(Level.CLEAR, probabilities, off_mass), ROAD) is level


def test_failures_count_against_a_model_and_choose_no_thresholds() -> None:
    failed = [reading(truth, [math.nan] * 3, math.nan) for truth in TRUTHS[:30]]
    readings = failed + [knowing(truth) for truth in TRUTHS[30:]]
    thresholds = thresholds_from(readings, ROAD)
    got = marks(readings, ROAD, thresholds, PLACES)
    assert thresholds is not None and got.answered.value == got.accuracy.value == got.stop_recall.value == 0.5
    assert thresholds_from(failed, ROAD) is None
    assert marks(failed, ROAD, None, PLACES[:30]).accuracy.value == 0


def test_on_danger_labels_a_slow_is_as_right_as_a_stop() -> None:
    """In every mark: the hard limit on STOPs seen and the costs once denied what the report said."""
    said = [(Level.STOP, [0.1, 0.8, 0.1]), (Level.CLEAR, [0.8, 0.1, 0.1])] * 20
    danger = [reading(truth, told, danger=truth is Level.STOP) for truth, told in said]
    got = marks(danger, ROAD, None, range(40))
    assert (got.accuracy.value, got.balanced_accuracy, got.stop_recall.value, got.cost) == (1, 1, 1, 0)
    levelled = marks([reading(truth, told) for truth, told in said], ROAD, None, range(40))
    assert (levelled.accuracy.value, levelled.stop_recall.value, levelled.cost) == (0.5, 0, 2)


def test_on_danger_labels_a_model_that_always_says_slow_sees_all_and_knows_nothing() -> None:
    said = [reading(truth, [0.1, 0.8, 0.1], danger=truth is Level.STOP) for truth in (Level.STOP, Level.CLEAR)] * 20
    got = marks(said, ROAD, None, range(40))
    assert (got.stop_recall.value, got.accuracy.value, got.false_stops.value, got.cost) == (1, 0.5, 0, 1)
    assert got.chance_p == 1


def test_an_unknown_costs_what_a_stop_costs() -> None:
    failed = [reading(truth, [math.nan] * 3, math.nan) for truth in LEVELS]
    assert list(costs(failed, ROAD, None)) == [4, 2, 0]


@pytest.mark.parametrize("places", [np.repeat(range(4), 10), np.tile(range(4), 10)], ids=["in turn", "mixed"])
def test_a_place_that_is_all_alike_is_one_coincidence_however_many_frames_it_has(places: np.ndarray) -> None:
    """Four places, each of one truth and one answer: right by one throw in six, not by forty frames."""
    truth = np.where(places % 2, Level.CLEAR, Level.STOP)
    assert chance(truth, truth, places) == pytest.approx(1 / 6, abs=0.05)
    assert chance(truth, truth, range(40)) < 0.01


def test_frames_that_follow_each_other_are_not_shuffled_apart() -> None:
    """Half a drive CLEAR, half STOP, and answers that changed with the light at the same moment: one of 40 turns."""
    truth = np.repeat([Level.CLEAR, Level.STOP], 20)
    assert chance(truth, truth, [0] * 40) == pytest.approx(1 / 40, abs=0.015)


def test_the_same_frames_again_are_no_better_than_once() -> None:
    truth = np.array([Level.CLEAR, Level.SLOW, Level.STOP] * 4)
    places = np.arange(12) // 6
    once, again = (chance(np.tile(truth, n), np.tile(truth, n), np.tile(places, n)) for n in (1, 5))
    assert once == pytest.approx(again, abs=0.03) and once > 0.05


def test_a_model_that_is_as_sure_as_it_is_right_is_calibrated() -> None:
    """Says CLEAR with 0.75 on four frames, of which three are."""
    truths = [Level.CLEAR] * 3 + [Level.STOP]
    error, bins = calibration([reading(truth, [0.75, 0.0, 0.25]) for truth in truths], ROAD)
    assert error == pytest.approx(0)
    assert bins == [{"said": 0.75, "so": 0.75, "n": 4}]


def test_agreement_is_measured_beside_accident() -> None:
    always_slow = [Level.SLOW] * 10
    assert agreement(always_slow, always_slow).same == 1
    assert math.isnan(agreement(always_slow, always_slow).kappa)
    half = [Level.SLOW, Level.STOP] * 5
    assert agreement(half, half).kappa == 1
    assert agreement(half, [Level.SLOW, Level.SLOW, Level.STOP, Level.STOP] * 2 + [Level.SLOW, Level.STOP]).kappa < 0.5
    assert math.isnan(agreement([], []).same)


def test_the_most_dangerous_disagreement_comes_first() -> None:
    truth = [Level.CLEAR, Level.STOP, Level.STOP, Level.SLOW]
    one = [Level.CLEAR, Level.STOP, Level.STOP, Level.SLOW]
    other = [Level.STOP, Level.SLOW, Level.CLEAR, Level.SLOW]
    assert disagreements(truth, one, other) == [2, 0, 1]
