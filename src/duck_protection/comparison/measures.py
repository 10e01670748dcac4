"""Two sides' samples side by side: each measure with its interval, the difference with its own, and who is better.

Differences are taken on the same frames and drawn together, so that what slowed both at once slows neither in the
comparison. Promise: a difference whose interval holds zero is a draw; without an interval nobody is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence

import numpy as np

from duck_protection.comparison.scoring import chance, meant
from duck_protection.comparison.timing import Words
from duck_protection.learning.choosing import Reading
from duck_protection.learning.marking import usable
from duck_protection.question import Question
from duck_protection.recording.intervals import LEAST_PLACES, Interval, interval, share

QUANTILES = (0.50, 0.95, 0.99)
HIGHER, LOWER = 1, -1


@dataclass(frozen=True)
class Samples:
    """One side's samples; a's and b's have the same order.

    Args:
        ms: Of each verdict; NaN where it failed.
        readings: Of each frame, the first one.
        joules: Of the card, for each block of verdicts; NaN where it does not tell.
        words: Free answers, the same number in each block.
    """

    ms: Sequence[float]
    readings: Sequence[Reading]
    joules: Sequence[float]
    words: Sequence[Words]


@dataclass(frozen=True)
class Measure:
    """A measure of both sides.

    Args:
        better: HIGHER or LOWER.
        difference: Of b less a.
    """

    name: str
    unit: str
    better: int
    a: Interval
    b: Interval
    difference: Interval

    @property
    def winner(self) -> str:
        """ "a", "b", "draw", or "unknown" where there is nothing to compare."""
        if not all(math.isfinite(one) for one in (self.difference.low, self.difference.high)):
            return "unknown"
        if self.difference.draw:
            return "draw"
        return "b" if self.difference.value * self.better > 0 else "a"

    def plain(self) -> Dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name, "unit": self.unit, "better": self.better, "a": self.a.plain(), "b": self.b.plain(),
            "difference": self.difference.plain(), "winner": self.winner,
        }  # fmt: skip


def measured(a: Samples, b: Samples, question: Question, block: int, places: Sequence[int]) -> List[Measure]:
    """All measures of timed verdicts and answers.

    Args:
        block: Verdicts in a block.
        places: The place of each reading's frame; accuracy is drawn by places, times by blocks.
    """
    blocks = [number // block for number in range(len(a.ms))]
    turns = max(1, len(set(blocks)))
    spoken = [number // max(1, len(a.words) // turns) for number in range(len(a.words))]
    rows = [
        _timed(f"verdict_p{round(100 * q)}_ms", "ms", LOWER, a.ms, b.ms, blocks, _quantile(q)) for q in QUANTILES
    ]  # fmt: skip
    first = [[one.first_ms for one in side.words] for side in (a, b)]
    speed = [[one.tokens_per_s for one in side.words] for side in (a, b)]
    joules = [[joule / block for joule in side.joules] for side in (a, b)]
    turn = list(range(len(a.joules)))
    rows.append(_timed("first_token_p50_ms", "ms", LOWER, first[0], first[1], spoken, _quantile(0.5)))
    rows.append(_timed("tokens_per_s", "/s", HIGHER, speed[0], speed[1], spoken, _quantile(0.5)))
    rows.append(_timed("joules_per_verdict", "J", LOWER, joules[0], joules[1], turn, _quantile(0.5)))
    answered = [[usable(one) for one in side.readings] for side in (a, b)]
    right = [meant(side.readings, question) == [one.truth for one in side.readings] for side in (a, b)]
    rows.append(_shared("answered", answered[0], answered[1], places))
    return [*rows, _shared("likeliest_right", right[0], right[1], places)]


def chance_p(readings: Sequence[Reading], question: Question, places: Sequence[int]) -> float:
    """scoring.chance() of these readings' likeliest levels."""
    truth = np.array([reading.truth for reading in readings])
    return chance(truth, meant(readings, question), places)


def _timed(
    name: str, unit: str, better: int, a: Sequence[float], b: Sequence[float], groups: Sequence[int],
    statistic: Callable[[np.ndarray], float],
) -> Measure:  # fmt: skip
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return Measure(
        name, unit, better,
        interval(lambda drawn: statistic(one[drawn]), groups),
        interval(lambda drawn: statistic(other[drawn]), groups),
        interval(lambda drawn: statistic(other[drawn]) - statistic(one[drawn]), groups),
    )  # fmt: skip


def _shared(name: str, a: Sequence[bool], b: Sequence[bool], places: Sequence[int]) -> Measure:
    gain = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    difference = interval(lambda drawn: float(gain[drawn].mean()), places, least=LEAST_PLACES)
    return Measure(name, "share", HIGHER, share(a, places), share(b, places), difference)


def _quantile(q: float) -> Callable[[np.ndarray], float]:
    def of(values: np.ndarray) -> float:
        known = values[np.isfinite(values)]
        return float(np.quantile(known, q)) if len(known) else math.nan

    return of
