"""Where two readers of the same frames part: how often, and on which frames, the most dangerous first.

Compares levels frame by frame, whoever is right. Promise: agreement is given beside the agreement that two readers
with the same habits would reach by accident (Cohen's kappa), because two models that always say SLOW agree too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Sequence

import numpy as np

from duck_protection.verdict import Level


@dataclass(frozen=True)
class Agreement:
    """Two readers on n frames.

    Args:
        counts: By the first one's level (row) and the second one's (column): UNKNOWN, CLEAR, SLOW, STOP.
        kappa: 1: always the same, 0: as accident would have it; NaN when either never varies.
    """

    n: int
    same: float
    kappa: float
    counts: List[List[int]]

    def plain(self) -> Dict[str, Any]:
        """For JSON."""
        return asdict(self)


def agreement(one: Sequence[Level], other: Sequence[Level]) -> Agreement:
    """How far two lists of levels of the same frames agree."""
    counts = np.zeros((len(Level), len(Level)), dtype=int)
    np.add.at(counts, (np.array(one, dtype=int), np.array(other, dtype=int)), 1)
    n = int(counts.sum())
    if not n:
        return Agreement(0, math.nan, math.nan, counts.tolist())
    same = float(np.trace(counts) / n)
    accident = float((counts.sum(0) * counts.sum(1)).sum() / n**2)
    return Agreement(n, same, (same - accident) / (1 - accident) if accident < 1 else math.nan, counts.tolist())


def disagreements(truth: Sequence[Level], one: Sequence[Level], other: Sequence[Level]) -> List[int]:
    """Places in the lists where the two differ: a STOP taken for CLEAR by either first, then the widest apart."""
    places = [place for place in range(len(truth)) if one[place] is not other[place]]
    return sorted(places, key=lambda place: (_danger(truth[place], one[place], other[place]), place))


def _danger(truth: Level, one: Level, other: Level) -> tuple[int, int]:
    run_over = truth is Level.STOP and Level.CLEAR in (one, other)
    return (0 if run_over else 1, -abs(int(one) - int(other)))
