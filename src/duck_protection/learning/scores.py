"""How a model with its thresholds fares on frames whose truth is known: counts, with Wilson's intervals.

Two kinds of truth. Rendered frames know their level. Photographs know danger from none: SLOW is then as good as STOP,
and "STOP" stands for danger, "CLEAR" for none. Promise: an UNKNOWN is never right, and never a danger that was seen.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from duck_protection.learning.choosing import Reading
from duck_protection.learning.marking import calibration, judged, likeliest
from duck_protection.question import Question
from duck_protection.recording.intervals import wilson
from duck_protection.verdict import Level, Thresholds

SEEN = (Level.SLOW, Level.STOP)


@dataclass(frozen=True)
class Count:
    """How many of how many; the share and its 95 % interval, NaN of none."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> Tuple[float, float]:
        """Wilson's."""
        return wilson(self.hits, self.of) if self.of else (math.nan, math.nan)

    def plain(self) -> Dict[str, Any]:
        """For JSON."""
        low, high = self.interval
        return {"value": self.share, "low": low, "high": high, "hits": self.hits, "of": self.of}


@dataclass(frozen=True)
class Score:
    """What a model with its thresholds did on n frames.

    Args:
        confusion: Counts by true level (CLEAR, SLOW, STOP) and judged level (UNKNOWN, CLEAR, SLOW, STOP).
        likeliest: Frames whose likeliest word, without thresholds, is right.
        danger_recall: Of the frames that deserve SLOW or STOP, those judged so.
        calibration: By level, the expected calibration error and its bins (marking.calibration); empty for photographs,
            whose labels know no levels.
    """

    n: int
    confusion: Tuple[Tuple[int, ...], ...]
    right: Count
    likeliest: Count
    stop_recall: Count
    stop_judged_clear: Count
    danger_recall: Count
    false_stops: Count
    verdict_ms_p50: float
    calibration: Dict[str, Tuple[float, List[Dict[str, float]]]]

    def plain(self) -> Dict[str, Any]:
        """For JSON: shares 0 to 1 by the usual names, and every count with its interval."""
        counts = {
            "accuracy": self.right, "likeliest_right": self.likeliest, "stop_recall": self.stop_recall,
            "stop_judged_clear": self.stop_judged_clear, "danger_recall": self.danger_recall,
            "false_stop_frames": self.false_stops,
        }  # fmt: skip
        return {
            "n": self.n, **{name: count.share for name, count in counts.items()},
            "counts": {name: count.plain() for name, count in counts.items()}, "confusion": self.confusion,
            "verdict_ms_p50": self.verdict_ms_p50,
            "calibration": {name: {"error": error, "bins": bins} for name, (error, bins) in self.calibration.items()},
        }  # fmt: skip


def score(readings: Sequence[Reading], question: Question, thresholds: Thresholds, batch: int = 1) -> Score:
    """How these readings fare under these thresholds.

    Args:
        batch: How many frames shared each reading's time.
    """
    acted = [judged(reading, question, thresholds) for reading in readings]
    counts = np.zeros((len(Level), len(Level)), dtype=int)
    for reading, level in zip(readings, acted):
        counts[reading.deserved, level] += 1
    stops, dangers = counts[Level.STOP], counts[list(SEEN)]
    levels = [level for level in (Level.CLEAR, Level.STOP) if all(one.danger is None for one in readings)]
    return Score(
        n=len(readings),
        confusion=tuple(tuple(int(count) for count in counts[truth]) for truth in list(Level)[1:]),
        right=_share(_right(reading, level) for reading, level in zip(readings, acted)),
        likeliest=_share(_right(reading, likeliest(reading, question)) for reading in readings),
        stop_recall=Count(int(stops[Level.STOP]), int(stops.sum())),
        stop_judged_clear=Count(int(stops[Level.CLEAR]), int(stops.sum())),
        danger_recall=Count(int(dangers[:, list(SEEN)].sum()), int(dangers.sum())),
        false_stops=Count(int(counts[Level.CLEAR, Level.STOP]), int(counts[Level.CLEAR].sum())),
        verdict_ms_p50=float(np.median([one.reply.timings.infer_ms for one in readings] or [math.nan])) / batch,
        calibration={level.name: calibration(readings, question, level) for level in levels},
    )


def _right(reading: Reading, level: Level) -> bool:
    if reading.danger is None:
        return level is reading.truth
    return level in (SEEN if reading.danger else (Level.CLEAR, Level.SLOW))


def _share(hits: Any) -> Count:
    known: List[Optional[bool]] = list(hits)
    return Count(sum(bool(one) for one in known), len(known))
