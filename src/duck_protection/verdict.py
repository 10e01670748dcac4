"""From what a model said to what the robot may do: judge() turns a Reply into a Level.

Answers: which level do these probabilities support, under these thresholds? Knows no clock, no frame age and no
robot: lateness is the governor's matter. Promise: CLEAR needs a finite, consistent reply that put its mass on
the offered choices, a calibrated record, and enough probability; every doubt ends in UNKNOWN or higher.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Sequence, Tuple

SUM_TOLERANCE = 1e-3  # float32 softmax over at most a few choices errs by about 1e-6; bfloat16 rounding by 4e-3/8


class Level(IntEnum):
    """Same numbers as the constants in DuckVerdict.msg. UNKNOWN is zero so that an empty message stops."""

    UNKNOWN = 0
    CLEAR = 1
    SLOW = 2
    STOP = 3


@dataclass(frozen=True)
class Identity:
    """Which eyes looked: thresholds belong to exactly one of these (and one question version)."""

    model: str
    revision: str
    dtype: str
    backend: str


@dataclass(frozen=True)
class Timings:
    """Where the time went, in milliseconds on a monotonic clock."""

    decode_ms: float = 0.0
    wait_ms: float = 0.0
    infer_ms: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What the model said about one frame.

    Args:
        probabilities: One per offered choice, in their order, summing to 1 (softmax over the choices alone).
        off_mass: Probability that the full vocabulary's softmax gave to anything but the choices, 0 to 1.
        text: The likeliest token's text, or the answer to a free question.
    """

    probabilities: Tuple[float, ...]
    off_mass: float
    text: str
    identity: Identity
    timings: Timings = Timings()


@dataclass(frozen=True)
class Thresholds:
    """How much probability a level needs. Biased to STOP: stop_at is low, clear_at is high.

    Args:
        stop_at: STOP when P(stop choices) is at least this, in (0, 0.5].
        clear_at: CLEAR when P(clear choices) is at least this, in [0.5, 1]; between the two it is SLOW.
        max_off_mass: More mass than this off the choices means that the model answered something else.
        calibrated: False for the fallback used when no record fits the model.
    """

    stop_at: float
    clear_at: float
    max_off_mass: float
    calibrated: bool = True

    def __post_init__(self) -> None:
        for key, low, high in (("stop_at", 0.0, 0.5), ("clear_at", 0.5, 1.0), ("max_off_mass", 0.0, 1.0)):
            value = getattr(self, key)
            if not low < value <= high and not (key == "clear_at" and value == low):
                raise ValueError(f"threshold {key} must be in ({low}, {high}], is {value}")


FALLBACK = Thresholds(stop_at=0.2, clear_at=0.9, max_off_mass=0.1, calibrated=False)


@dataclass(frozen=True)
class Judgement:
    """A level and, in words, why."""

    level: Level
    reason: str


def judge(
    reply: Reply, levels: Sequence[Level], thresholds: Thresholds, *, allow_uncalibrated: bool = False
) -> Judgement:
    """The level that a reply supports.

    Args:
        reply: What the model said.
        levels: The level of each offered choice, in the order of reply.probabilities.
        thresholds: The record for reply.identity and the question, or FALLBACK.
        allow_uncalibrated: Let a model without a record say CLEAR and SLOW; the reason then says so.
    """
    doubt = _doubt(reply, levels, thresholds)
    if doubt:
        return Judgement(Level.UNKNOWN, doubt)
    mass = {level: sum(p for p, own in zip(reply.probabilities, levels) if own is level) for level in Level}
    if mass[Level.STOP] >= thresholds.stop_at:
        level = Level.STOP
    elif mass[Level.CLEAR] >= thresholds.clear_at:
        level = Level.CLEAR
    else:
        level = Level.SLOW
    said = f"{level.name.lower()}: p(stop) {mass[Level.STOP]:.3f}, p(clear) {mass[Level.CLEAR]:.3f}"
    if thresholds.calibrated or level is Level.STOP:
        return Judgement(level, said)
    if allow_uncalibrated:
        return Judgement(level, f"{said}, uncalibrated")
    return Judgement(Level.UNKNOWN, f"uncalibrated: no threshold record for {_name(reply.identity)}")


def _doubt(reply: Reply, levels: Sequence[Level], thresholds: Thresholds) -> str:
    """Why this reply cannot be believed, or an empty string."""
    numbers = (*reply.probabilities, reply.off_mass)
    if len(reply.probabilities) != len(levels) or not levels:
        return f"bad reply: {len(reply.probabilities)} probabilities for {len(levels)} choices"
    if not all(math.isfinite(number) and -SUM_TOLERANCE <= number <= 1 + SUM_TOLERANCE for number in numbers):
        return "bad reply: a probability is not a number between 0 and 1"
    if abs(sum(reply.probabilities) - 1) > SUM_TOLERANCE:
        return f"bad reply: probabilities sum to {sum(reply.probabilities):.3f}"
    if reply.off_mass > thresholds.max_off_mass:
        return f"off the choices: {reply.off_mass:.3f} of the mass, at most {thresholds.max_off_mass} allowed"
    return ""


def _name(identity: Identity) -> str:
    return f"{identity.model} {identity.revision} {identity.dtype} {identity.backend}"
