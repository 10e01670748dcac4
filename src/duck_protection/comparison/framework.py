"""The framework of a decision, read from config/decision.yaml: what the robot needs, hard limits, weights.

Promise: a framework that loads names only measures that exist, and the latency limit follows from the robot's speed
and the distance it may drive blind; anything doubtful is a SettingsError that names key and value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from duck_protection.settings import SettingsError, settings_from

NEED = "need"  # in a limit: the verdict time that the robot needs


@dataclass(frozen=True)
class Kind:
    """A measure: its name for people, its unit, and the phase (or file) that it comes from."""

    label: str
    unit: str
    origin: str

    def words(self, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A value of it, with its limits where it has some, for people."""
        if self.unit == "yes":
            return "yes" if value else "no"
        scale, unit = (100, "%") if self.unit == "share" else (1, self.unit)
        limits = f" ({short(scale * low)} to {short(scale * high)})" if math.isfinite(low) else ""
        return f"{short(scale * value)} {unit}{limits}"


def short(value: float, sign: str = "") -> str:
    """Three digits, or all of a large number's; never an exponent."""
    if 0 < abs(value) < 0.001:
        return f"{'-' if value < 0 else sign}<0.001"
    return f"{value:{sign},.0f}" if abs(value) >= 999.5 else f"{value:{sign}.3g}"


MEASURES: Dict[str, Kind] = {
    "verdict_p50_ms": Kind("verdict, p50", "ms", "bench"),
    "verdict_p95_ms": Kind("verdict, p95", "ms", "bench"),
    "verdict_p99_ms": Kind("verdict, p99", "ms", "bench"),
    "first_token_p50_ms": Kind("first token of an answer, p50", "ms", "bench"),
    "tokens_per_s": Kind("tokens a second", "/s", "bench"),
    "verdicts_per_s": Kind("verdicts a second, all robots", "/s", "bench"),
    "joules_per_verdict": Kind("energy of the card for a verdict", "J", "bench"),
    "answered": Kind("usable answers", "share", "bench"),
    "likeliest_right": Kind("right, likeliest level", "share", "bench"),
    "better_than_chance": Kind("better than chance", "yes", "bench"),
    "start_s": Kind("start to first answer", "s", "bench"),
    "memory_mib": Kind("memory of the process", "MiB", "bench"),
    "card_mib": Kind("memory of the card", "MiB", "bench"),
    "accuracy": Kind("right, likeliest level", "share", "prompts"),
    "stop_recall": Kind("STOP judged STOP", "share", "prompts"),
    "stop_judged_clear": Kind("STOP judged CLEAR", "share", "prompts"),
    "false_stops": Kind("CLEAR judged STOP", "share", "prompts"),
    "upkeep_h_month": Kind("upkeep a month", "h", "decision.yaml"),
}

# What bench.json tells of a side by a single number: its key there, and the measure that it is.
OF_SIDE = {"start_s": "start_s", "resident_mib": "memory_mib", "card_mib": "card_mib"}


@dataclass(frozen=True)
class Robot:
    """What the robot's speed asks of a verdict. Units in the names; sources in the YAML."""

    speed_mps: float
    blind_m: float
    stop_m: float
    roll_out_m: float
    camera_latency_s: float
    frame_s: float
    pipeline_s: float
    robots: int

    @property
    def age_s(self) -> float:
        """How old the frame behind a command may be: the shorter of what may be driven blind, and what leaves room
        to stop before a duck that was first seen at stop_m."""
        return min(self.blind_m, self.stop_m - self.roll_out_m) / self.speed_mps

    @property
    def need_ms(self) -> float:
        """The longest verdict. In use a frame is up to two verdicts and a frame's time old, beside what the camera
        and the nodes add."""
        return 1e3 * (self.age_s - self.camera_latency_s - self.frame_s - self.pipeline_s) / 2

    def speed_for(self, verdict_ms: float) -> float:
        """The speed, in m/s, at which verdicts that take so long are just in time."""
        age_s = 2e-3 * verdict_ms + self.camera_latency_s + self.frame_s + self.pipeline_s
        return min(self.blind_m, self.stop_m - self.roll_out_m) / age_s


@dataclass(frozen=True)
class Limit:
    """A hard limit: at_most or at_least, the other is None."""

    measure: str
    why: str
    at_most: Optional[float] = None
    at_least: Optional[float] = None

    @property
    def words(self) -> str:
        """The limit, for people."""
        kind = MEASURES[self.measure]
        if kind.unit == "yes":
            return kind.label
        most = self.at_most is not None
        bound = self.at_most if self.at_most is not None else self.at_least
        return f"{kind.label}: at {'most' if most else 'least'} {kind.words(bound or 0.0)}"


@dataclass(frozen=True)
class Criterion:
    """A weighted measure: worth 0 at `worst` (or beyond) and 1 at `best`, straight in between."""

    measure: str
    weight: float
    worst: float
    best: float
    why: str

    def worth(self, value: float) -> float:
        """From 0 to 1."""
        return min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))

    def value_of(self, worth: float) -> float:
        """The measure that is worth so much."""
        return self.worst + worth * (self.best - self.worst)


@dataclass(frozen=True)
class Framework:
    """All of it. Weights sum to 1; margin is the weighted gain from which a migration is worth its work."""

    robot: Robot
    limits: Tuple[Limit, ...]
    criteria: Tuple[Criterion, ...]
    margin: float
    upkeep: Mapping[str, Optional[float]]


def framework_from(content: Mapping[str, Any]) -> Framework:
    """The framework, from decision.yaml's content.

    Raises:
        SettingsError: Something is missing, unknown or out of range.
    """
    try:
        robot = settings_from(Robot, content["robot"])
        if not (robot.speed_mps > 0 and robot.need_ms > 0):
            raise SettingsError(f"robot: at {robot.speed_mps} m/s no verdict is fast enough ({robot.need_ms:.0f} ms)")
        limits = tuple(_limit(entry, robot) for entry in content["limits"])
        criteria = tuple(_criterion(entry) for entry in content["criteria"])
        upkeep = {side: content["upkeep"][side] for side in ("a_h_month", "b_h_month")}
        margin = float(content["margin"])
    except KeyError as err:
        raise SettingsError(f"decision.yaml: {err} is missing") from err
    total = math.fsum(one.weight for one in criteria)
    if not 0 < margin < 1 or not total > 0 or any(one.weight < 0 for one in criteria):
        raise SettingsError(f"decision.yaml: margin must be in (0, 1), is {margin}; weights 0 or more, sum {total}")
    scaled = tuple(Criterion(c.measure, c.weight / total, c.worst, c.best, c.why) for c in criteria)
    return Framework(robot, limits, scaled, margin, upkeep)


def _limit(entry: Mapping[str, Any], robot: Robot) -> Limit:
    known = dict(entry)
    if known.get("at_most") == NEED:
        known["at_most"] = robot.need_ms
    limit = Limit(str(known.get("measure")), str(known.get("why")), known.get("at_most"), known.get("at_least"))
    _known(limit.measure)
    if (limit.at_most is None) == (limit.at_least is None) or set(known) - {"measure", "why", "at_most", "at_least"}:
        raise SettingsError(f"limit on {limit.measure}: either at_most or at_least, and why; it has {sorted(known)}")
    return limit


def _criterion(entry: Mapping[str, Any]) -> Criterion:
    criterion = settings_from(Criterion, entry)
    _known(criterion.measure)
    if criterion.worst == criterion.best:
        raise SettingsError(f"criterion {criterion.measure}: worst and best are both {criterion.best}")
    return criterion


def _known(measure: str) -> None:
    if measure not in MEASURES:
        raise SettingsError(f"unknown measure {measure!r}; known are {', '.join(sorted(MEASURES))}")
