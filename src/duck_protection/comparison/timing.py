"""One look at the clock: how long a verdict takes, and how long the first word and the following words of an answer.

Times are on the monotonic clock, around the very call that vlm_node makes: a frame's pixels go in, a reply comes out.
A server's JPEG and network are in it, as they would be when driving; decoding the camera's JPEG is not, for anybody.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from duck_protection.comparison.contenders import Contender
from duck_protection.question import Question
from duck_protection.verdict import Reply
from duck_protection.vlm.base import VlmError

SAY = "Describe the road ahead of the robot in one sentence."
SAID_TOKENS = 24
LEAST_TOKENS = 8  # fewer give no rate: a server may send two or three in one packet


@dataclass(frozen=True)
class Words:
    """One free answer: milliseconds to the first word, tokens a second after it; NaN where there was none."""

    first_ms: float
    tokens_per_s: float


def verdict(contender: Contender, frame: np.ndarray, question: Question) -> Tuple[float, Reply]:
    """One verdict's milliseconds (NaN when it failed), and its reply."""
    begun_s = time.monotonic()
    (reply,) = contender.vlm.choose([frame], [question])
    took_ms = 1e3 * (time.monotonic() - begun_s)
    failed = any(math.isnan(p) for p in reply.probabilities)
    return (math.nan if failed else took_ms), reply


def words(contender: Contender, frame: np.ndarray) -> Words:
    """One free answer, greedily. A token counts when it has text; fewer than LEAST_TOKENS give no rate."""
    times_s: List[float] = []
    begun_s = time.monotonic()
    try:
        pieces = contender.vlm.generate(frame, SAY, SAID_TOKENS)
        times_s.extend(time.monotonic() for piece in pieces if piece)
    except VlmError as err:
        contender.vlm.failures.append(f"{type(err).__name__}: {err}")
    if not times_s:
        return Words(math.nan, math.nan)
    spread_s = times_s[-1] - times_s[0]
    known = len(times_s) >= LEAST_TOKENS and spread_s > 0
    return Words(1e3 * (times_s[0] - begun_s), (len(times_s) - 1) / spread_s if known else math.nan)
