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

from duck_protection.learning.choosing import COSTS, Reading, choose_thresholds
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
        chance_p: Share of shuffled truths on which the same answers do as well, by balanced accuracy.
        calibration_error: Of P(CLEAR): mean distance between what was said and what was so, over ten bins.
        bins: Of P(CLEAR): middle said, share that was CLEAR, frames.
        cost: A frame's, by learning/choosing.COSTS, as judged (else as likeliest); UNKNOWN costs what STOP costs.
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
    danger_only: bool = False,
) -> Marks:
    """The marks of these readings. groups: the place of each frame, for the intervals."""
    truth = np.array([reading.truth for reading in readings])
    said = np.array([likeliest(reading, question) for reading in readings])
    acted = np.array([judged(reading, question, thresholds) for reading in readings])
    places = np.asarray(groups)
    off = [reading.reply.off_mass for reading in readings if math.isfinite(reading.reply.off_mass)] or [1.0]
    right = (said > Level.CLEAR) == (truth > Level.CLEAR) if danger_only else said == truth
    right &= said != Level.UNKNOWN
    stop, clear = truth == Level.STOP, truth == Level.CLEAR
    error, bins = calibration(readings, question)
    return Marks(
        n=len(readings),
        answered=share([usable(reading) for reading in readings], groups),
        accuracy=share(right, groups),
        balanced_accuracy=balanced_accuracy(truth, said),
        chance_p=chance(truth, said),
        off_mass_p50=float(np.quantile(off, 0.5)),
        off_mass_p95=float(np.quantile(off, 0.95)),
        calibration_error=error,
        bins=bins,
        cost=float(_costs(truth, acted).mean()),
        stop_recall=share(acted[stop] == Level.STOP, places[stop]),
        stop_judged_clear=share(acted[stop] == Level.CLEAR, places[stop]),
        false_stops=share(acted[clear] == Level.STOP, places[clear]),
    )


def costs(readings: Sequence[Reading], question: Question, thresholds: Optional[Thresholds]) -> np.ndarray:
    """Each frame's cost as judged, float64, shape (n,)."""
    acted = np.array([judged(reading, question, thresholds) for reading in readings])
    return _costs(np.array([reading.truth for reading in readings]), acted)


def _costs(truth: np.ndarray, acted: np.ndarray) -> np.ndarray:
    """An UNKNOWN stops the robot."""
    stopped: np.ndarray = np.where(acted == Level.UNKNOWN, Level.STOP, acted)
    return np.asarray(COSTS[truth - 1, stopped - 1], dtype=float)


def balanced_accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """The mean, over the true levels, of the share that was called so."""
    return float(np.mean([(said[truth == level] == level).mean() for level in np.unique(truth)]))


def chance(truth: np.ndarray, said: np.ndarray, seed: int = SEED) -> float:
    """How often shuffled truths are met as well as the real ones; 1 for a model that always says the same."""
    rng = np.random.default_rng(seed)
    reached = balanced_accuracy(truth, said)
    shuffled = [balanced_accuracy(rng.permutation(truth), said) for _ in range(SHUFFLES)]
    return float((1 + np.sum(np.array(shuffled) >= reached - 1e-12)) / (1 + SHUFFLES))
