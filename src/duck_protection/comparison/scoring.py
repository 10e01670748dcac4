"""How good a question is for a model: accuracy, STOP recall, false stops, off-mass, calibration, chance.

Two readings of the same replies. "Likeliest": the level of the most probable choice, as the model means it. "Judged":
the level under thresholds that were chosen on other frames, as the robot would drive. Promise: a model that says
nothing usable is never scored by accident; whether it does better than chance is tested, not looked at.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from duck_protection.learning.choosing import Reading, choose_thresholds, costs_of
from duck_protection.learning.marking import calibration, judged, likeliest, usable
from duck_protection.question import Question
from duck_protection.recording.intervals import SEED, Interval, share
from duck_protection.verdict import Level, Thresholds

SHUFFLES = 1000
CHANCE_P = 0.01  # a model is better than chance when fewer than one shuffle in a hundred does as well


@dataclass(frozen=True)
class Marks:
    """What a question's readings are worth, on n frames.

    Args:
        accuracy: Likeliest level equals the truth (on danger-only labels: danger told from none).
        chance_p: From chance().
        calibration_error: Of P(CLEAR): mean distance between what was said and what was so, over ten bins.
        bins: Of P(CLEAR): middle said, share that was CLEAR, frames.
        cost: A frame's, by learning/choosing.costs_of, as judged (else as likeliest); UNKNOWN costs what STOP costs.
        stop_recall: On danger-only labels: dangers judged SLOW or STOP.
    """

    n: int
    answered: Interval
    accuracy: Interval
    balanced_accuracy: float
    chance_p: float
    off_mass_p50: float
    off_mass_p95: float
    calibration_error: float
    bins: List[Dict[str, float]]
    cost: float
    stop_recall: Interval
    stop_judged_clear: Interval
    false_stops: Interval

    @property
    def better_than_chance(self) -> bool:
        """Whether the answers have anything to do with the frames."""
        return self.chance_p < CHANCE_P

    def plain(self) -> Dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "better_than_chance": self.better_than_chance}


def thresholds_from(readings: Sequence[Reading], question: Question) -> Optional[Thresholds]:
    """Thresholds of these frames; None when no reading that deserved STOP is usable."""
    kept = [reading for reading in readings if usable(reading)]
    if not any(reading.truth is Level.STOP for reading in kept):
        return None
    return choose_thresholds(kept, question)


def marks(
    readings: Sequence[Reading],
    question: Question,
    thresholds: Optional[Thresholds],
    groups: Sequence[int],
) -> Marks:
    """The marks of these readings. groups: the place of each frame, for the intervals."""
    truth = np.array([reading.truth for reading in readings])
    said = meant(readings, question)
    acted = np.array([judged(reading, question, thresholds) for reading in readings])
    places = np.asarray(groups)
    off = [reading.reply.off_mass for reading in readings if math.isfinite(reading.reply.off_mass)] or [1.0]
    seen = (acted == Level.STOP) | ((acted == Level.SLOW) & [reading.danger is True for reading in readings])
    stop, clear = truth == Level.STOP, truth == Level.CLEAR
    error, bins = calibration(readings, question)
    return Marks(
        n=len(readings),
        answered=share([usable(reading) for reading in readings], groups),
        accuracy=share(said == truth, groups),
        balanced_accuracy=balanced_accuracy(truth, said),
        chance_p=chance(truth, said, groups),
        off_mass_p50=float(np.quantile(off, 0.5)),
        off_mass_p95=float(np.quantile(off, 0.95)),
        calibration_error=error,
        bins=bins,
        cost=float(costs(readings, question, thresholds).mean()),
        stop_recall=share(seen[stop], places[stop]),
        stop_judged_clear=share(acted[stop] == Level.CLEAR, places[stop]),
        false_stops=share(acted[clear] == Level.STOP, places[clear]),
    )


def costs(readings: Sequence[Reading], question: Question, thresholds: Optional[Thresholds]) -> np.ndarray:
    """Each frame's cost as judged, float64, shape (n,). An UNKNOWN stops the robot."""
    acted = [judged(reading, question, thresholds) or Level.STOP for reading in readings]
    return np.asarray(costs_of(readings)[np.arange(len(acted)), np.array(acted) - 1], dtype=float)


def meant(readings: Sequence[Reading], question: Question) -> np.ndarray:
    """The likeliest levels, int, shape (n,); where labels tell danger from none and no more, a SLOW means STOP."""
    said = np.array([likeliest(reading, question) for reading in readings])
    said[(said == Level.SLOW) & [reading.danger is not None for reading in readings]] = Level.STOP
    return said


def balanced_accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """The mean, over the true levels, of the share that was called so."""
    return float(np.mean([(said[truth == level] == level).mean() for level in np.unique(truth)]))


def chance(truth: np.ndarray, said: np.ndarray, groups: Sequence[int], seed: int = SEED) -> float:
    """How often shuffled truths are met as well as the real ones; 1 for a model that always says the same.

    Neighbours are alike, so they stay neighbours: whole places change theirs, and the truths of each turn in a ring.
    """
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(np.asarray(groups) == group) for group in np.unique(groups)]
    said, reached = said[np.concatenate(places)], balanced_accuracy(truth, said)
    shuffled = [balanced_accuracy(truth[_turned(places, rng)], said) for _ in range(SHUFFLES)]
    return float((1 + np.sum(np.array(shuffled) >= reached - 1e-12)) / (1 + SHUFFLES))


def _turned(places: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """All places' sample numbers in a random order of places, each place begun anywhere and joined end to start."""
    starts = rng.integers([len(place) for place in places])
    halves = [(places[k][starts[k] :], places[k][: starts[k]]) for k in rng.permutation(len(places))]
    return np.concatenate([half for both in halves for half in both])
