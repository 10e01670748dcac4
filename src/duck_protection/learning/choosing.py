"""Chooses thresholds from readings whose truth is known: as biased to STOP as needed, as little as possible.

Promise: under the thresholds returned no reading that deserved STOP, but for those explicitly forgiven, is judged
CLEAR, if any thresholds in reach can do that; among those that can, the cheapest by COSTS, and among equals the most
careful.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Level, Reply, Thresholds

STOP_AT = np.linspace(0.05, 0.5, 19)
CLEAR_AT = np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995])
# What a judgement costs, by truth (row: CLEAR, SLOW, STOP) and judged level (column: CLEAR, SLOW, STOP). A duck run
# over, a duck passed a little too fast, a stop too many; only their order is meant. Too much caution weighs double, for
# in data sets dangers are as frequent as clear roads, and on a road they are rare.
COSTS = np.array([[0, 2, 4], [4, 0, 2], [1000, 4, 0]])
SPARE = 0.5  # clear_at is moved this far from the worst STOP of the validation frames towards 1
LEAST_OFF_MASS, MOST_OFF_MASS = 0.02, 0.2


@dataclass(frozen=True)
class Reading:
    """A reply, and the level that its frame deserved.

    Args:
        danger: Where the label tells danger from none and no more: whether it is one. SLOW is then as good as STOP.
    """

    reply: Reply
    truth: Level
    danger: Optional[bool] = None

    @property
    def deserved(self) -> Level:
        """The truth, as far as the label knows it: STOP for any danger, CLEAR for none."""
        if self.danger is None:
            return self.truth
        return Level.STOP if self.danger else Level.CLEAR


def choose_thresholds(readings: Sequence[Reading], question: Question, forgiven: float = 0.0) -> Thresholds:
    """Thresholds for the model and question that gave these readings.

    Args:
        forgiven: Share of the STOPs, those taken most surely for CLEAR, that have no say: where the truth counts what
            no eye can read (a strip of duck at the picture's side), they would forbid every CLEAR. Report them.

    Raises:
        ValueError: forgiven is no share; there is no reading, or none that deserved STOP: nothing can be learnt from
            these frames.
    """
    if not 0 <= forgiven < 1:  # NaN is refused too
        raise ValueError(f"forgiven must be a share, 0 or more and less than 1, is {forgiven}")
    readings = _without_worst(readings, question, forgiven)
    truth = np.array([reading.deserved for reading in readings])
    if not (truth == Level.STOP).any():
        raise ValueError("choosing thresholds needs frames, and among them some that deserve STOP")
    costs = costs_of(readings)
    stop, clear = (_mass(readings, question, level) for level in (Level.STOP, Level.CLEAR))
    pairs = [(stop_at, clear_at) for stop_at in STOP_AT for clear_at in CLEAR_AT]
    stop_at, clear_at = min(pairs, key=lambda pair: (_cost(costs, stop, clear, *pair), pair[0], -pair[1]))
    worst = np.max(clear[(truth == Level.STOP) & (stop < stop_at)], initial=0.0)
    clear_at = max(clear_at, min(1.0, worst + SPARE * (1 - worst)))
    off = np.quantile([reading.reply.off_mass for reading in readings], 0.999)
    return Thresholds(float(stop_at), float(clear_at), float(np.clip(10 * off, LEAST_OFF_MASS, MOST_OFF_MASS)))


def _without_worst(readings: Sequence[Reading], question: Question, share: float) -> Sequence[Reading]:
    """The readings less this share of the STOPs."""
    stops = [number for number, reading in enumerate(readings) if reading.deserved is Level.STOP]
    clear = _mass(readings, question, Level.CLEAR) if stops else np.zeros(0)
    worst = set(sorted(stops, key=lambda number: -clear[number])[: int(share * len(stops))])
    return [reading for number, reading in enumerate(readings) if number not in worst]


def _mass(readings: Sequence[Reading], question: Question, level: Level) -> np.ndarray:
    """Probability of the level's choices in each reading, float64, shape (n,)."""
    own = [choice.level is level for choice in question.choices]
    return np.array([reading.reply.probabilities for reading in readings])[:, own].sum(1)


def costs_of(readings: Sequence[Reading]) -> np.ndarray:
    """What each judged level would cost, by reading and level (CLEAR, SLOW, STOP), shape (n, 3)."""
    costs = COSTS[np.array([reading.deserved for reading in readings]) - 1]
    costs[[reading.danger is True for reading in readings], Level.SLOW - 1] = 0
    return costs


def _cost(costs: np.ndarray, stop: np.ndarray, clear: np.ndarray, stop_at: float, clear_at: float) -> int:
    judged = np.where(stop >= stop_at, Level.STOP, np.where(clear >= clear_at, Level.CLEAR, Level.SLOW))
    return int(costs[np.arange(len(costs)), judged - 1].sum())
