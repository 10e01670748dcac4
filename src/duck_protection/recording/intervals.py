"""How sure a number is: 95 % intervals by bootstrap, over groups of samples that belong together.

Frames of one place, or timings of one block, are alike; drawing them one by one would claim too much certainty. So
whole groups are drawn. A share is said of places that nobody saw: it has no interval below LEAST_PLACES of them, and
no narrower one than Wilson's with at most PLACE_FRAMES frames of each. Promise: the same samples and seed give the
same interval; nothing finite, no interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Dict, Sequence

import numpy as np

DRAWS = 1000
SEED = 20
CONFIDENCE = 0.95
Z = 1.96  # of a normal distribution, for CONFIDENCE
LEAST_PLACES = 5  # fewer, drawn with repeats, are too often all the same one or two
# Any number of one place's frames tells no more than so many of different places: 1 / 0.1, the correlation within a
# place. The duckling's P(STOP) on rendered STOPs, 40 looks each: 0.02 (heldout_near), 0.09 (heldout_plain).
PLACE_FRAMES = 10

Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Interval:
    """A number and the limits between which it lies with 95 % confidence; NaN where it cannot be told."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def draw(self) -> bool:
        """For a difference: whether it may as well be nothing."""
        return not (self.low > 0 or self.high < 0)

    def plain(self) -> Dict[str, float]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def interval(
    statistic: Statistic, groups: Sequence[int], draws: int = DRAWS, seed: int = SEED, least: int = 2
) -> Interval:  # fmt: skip
    """The statistic of all samples, and its interval.

    Args:
        statistic: From an array of sample numbers (repeats among them) to a number; NaN where it has none.
        groups: The group of each sample.
        least: With fewer groups there is no interval.
    """
    numbers = np.asarray(groups)
    if not len(numbers):
        return Interval(math.nan)
    members = [np.flatnonzero(numbers == group) for group in np.unique(numbers)]
    value = float(statistic(np.arange(len(numbers))))
    if len(members) < least:
        return Interval(value)
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(_resampled(members, rng)) for _ in range(draws)], dtype=float)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(value)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def share(hits: Sequence[bool], groups: Sequence[int]) -> Interval:
    """A share of the samples. The bootstrap of all or none, or of a single miss, is too narrow: see above.

    Returns:
        NaN for no samples.
    """
    right = np.asarray(hits, dtype=float)
    if not len(right):
        return Interval(math.nan)
    found = interval(lambda drawn: float(right[drawn].mean()), groups, least=LEAST_PLACES)
    if not math.isfinite(found.low):
        return found
    n = int(np.minimum(np.unique(groups, return_counts=True)[1], PLACE_FRAMES).sum())
    low, high = wilson(found.value * n, n)
    return Interval(found.value, min(low, found.low), max(high, found.high))


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share (1927), clipped to 0 and 1."""
    middle, width = (hits + Z * Z / 2) / (n + Z * Z), Z * math.sqrt(hits * (n - hits) / n + Z * Z / 4) / (n + Z * Z)
    return max(0.0, middle - width), min(1.0, middle + width)


def _resampled(members: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([members[number] for number in rng.integers(len(members), size=len(members))])
