"""What a reading says, three ways: whether anything, the likeliest level, and the level the robot would act on.

And how far a model's probabilities can be believed. Promise: a reply that says nothing usable is never marked by
accident as an answer.
"""

from __future__ import annotations

import math
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from duck_protection.learning.choosing import Reading
from duck_protection.question import Question
from duck_protection.verdict import Level, Thresholds, judge

BINS = 10
MOST_OFF_MASS = 0.5  # more, and the model's own answer was none of the choices


def usable(reading: Reading) -> bool:
    """Whether the model said anything among the choices."""
    reply = reading.reply
    return all(math.isfinite(p) for p in (*reply.probabilities, reply.off_mass)) and reply.off_mass <= MOST_OFF_MASS


def likeliest(reading: Reading, question: Question) -> Level:
    """The level of the most probable choice; UNKNOWN for a failure, a tie, or an answer off the choices."""
    if not usable(reading):
        return Level.UNKNOWN
    best = max(reading.reply.probabilities)
    named = [choice.level for choice, p in zip(question.choices, reading.reply.probabilities) if p == best]
    return named[0] if len(named) == 1 else Level.UNKNOWN


def judged(reading: Reading, question: Question, thresholds: Optional[Thresholds]) -> Level:
    """The level the robot would act on; without thresholds the likeliest."""
    if thresholds is None:
        return likeliest(reading, question)
    return judge(reading.reply, [choice.level for choice in question.choices], thresholds).level


def mass(reading: Reading, question: Question, level: Level) -> float:
    """Probability of the level's choices, 0 to 1."""
    pairs = zip(question.choices, reading.reply.probabilities)
    return sum(p for choice, p in pairs if choice.level is level)


def calibration(
    readings: Sequence[Reading], question: Question, level: Level = Level.CLEAR
) -> Tuple[float, List[Dict[str, float]]]:
    """The expected calibration error of P(level), and its bins; NaN without a usable reading.

    Returns:
        Mean distance between what was said and what was so, over ten bins weighted by their frames; the bins' middle
        said, share that was so, frames.
    """
    kept = [reading for reading in readings if usable(reading)]
    if not kept:
        return math.nan, []
    said = np.array([mass(reading, question, level) for reading in kept])
    so = np.array([reading.deserved is level for reading in kept], dtype=float)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    bins = [
        {"said": float(said[place == one].mean()), "so": float(so[place == one].mean()), "n": int((place == one).sum())}
        for one in np.unique(place)
    ]
    return sum(one["n"] * abs(one["said"] - one["so"]) for one in bins) / len(kept), bins
