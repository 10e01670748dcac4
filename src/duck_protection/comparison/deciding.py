"""Phase 3: migrate, stay or not yet; computed from what was measured, and nothing else.

A hard limit counts as kept only when the whole interval keeps it, as broken only when the whole interval breaks it;
in between, unmeasured, or a share without an interval, it is open. Weighted gains count only what differs by more than
the noise. What is missing may be worth anything from nothing to everything: when that could turn the answer, the answer
is "not yet".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from duck_protection.comparison.evidence import SIDES, Evidence
from duck_protection.comparison.framework import MEASURES, Criterion, Framework, Limit
from duck_protection.recording.intervals import Interval

MIGRATE, STAY, NOT_YET = "migrate", "stay", "not yet"
KEPT, BROKEN, OPEN, MISSING = "kept", "broken", "open", "missing"


@dataclass(frozen=True)
class Checked:
    """One hard limit on one side."""

    side: str
    measure: str
    limit: str
    state: str
    value: Optional[Interval]
    why: str


@dataclass(frozen=True)
class Weighed:
    """One criterion: what each side's value is worth, and the weighted gain of b over a with its least and most."""

    measure: str
    weight: float
    a: Optional[float]
    b: Optional[float]
    gain_least: float
    gain_most: float
    why: str


@dataclass(frozen=True)
class Decision:
    """The answer, and everything it rests on."""

    answer: str
    reasons: Tuple[str, ...]
    changes: Tuple[str, ...]
    limits: Tuple[Checked, ...]
    weighed: Tuple[Weighed, ...]
    gain_least: float
    gain_most: float
    margin: float
    need_ms: float
    missing: Mapping[str, str]


def decide(known: Evidence, frame: Framework) -> Decision:
    """The framework's answer to this evidence."""
    limits = tuple(_checked(side, limit, known) for limit in frame.limits for side in SIDES)
    weighed = tuple(_weighed(criterion, known) for criterion in frame.criteria)
    least, most = (math.fsum(getattr(one, key) for one in weighed) for key in ("gain_least", "gain_most"))
    answer, reasons = _answer(limits, least, most, frame.margin, known)
    changes = _changes(answer, limits, weighed, known, frame, (least, most))
    used = {limit.measure for limit in frame.limits} | {criterion.measure for criterion in frame.criteria}
    lacking = [(key, why) for key, why in known.missing.items() if key[1] in used]
    missing = {f"{side.upper()}, {MEASURES[name].label}": why for (side, name), why in lacking}
    return Decision(
        answer, tuple(reasons), tuple(changes), limits, weighed, least, most, frame.margin, frame.robot.need_ms, missing
    )


def _checked(side: str, limit: Limit, known: Evidence) -> Checked:
    value = known.values.get((side, limit.measure))
    return Checked(side, limit.measure, limit.words, _state(limit, value), value, limit.why)


def _state(limit: Limit, value: Optional[Interval]) -> str:
    if value is None:
        return MISSING
    if MEASURES[limit.measure].unit == "share" and not math.isfinite(value.low):
        return OPEN
    low, high = (bound if math.isfinite(bound) else value.value for bound in (value.low, value.high))
    if limit.at_most is not None:
        return KEPT if high <= limit.at_most else BROKEN if low > limit.at_most else OPEN
    assert limit.at_least is not None
    return KEPT if low >= limit.at_least else BROKEN if high < limit.at_least else OPEN


def _weighed(criterion: Criterion, known: Evidence) -> Weighed:
    worths: Dict[str, Optional[float]] = {}
    for side in SIDES:
        value = known.values.get((side, criterion.measure))
        worths[side] = None if value is None else criterion.worth(value.value)
    a, b = worths["a"], worths["b"]
    least = (0.0 if b is None else b) - (1.0 if a is None else a)
    most = (1.0 if b is None else b) - (0.0 if a is None else a)
    if criterion.measure in known.draws:
        least = most = 0.0
    w = criterion.weight
    return Weighed(criterion.measure, w, a, b, w * least, w * most, criterion.why)


def _answer(
    limits: Tuple[Checked, ...], least: float, most: float, margin: float, known: Evidence
) -> Tuple[str, List[str]]:  # fmt: skip
    broken = {side: [one for one in limits if one.side == side and one.state == BROKEN] for side in SIDES}
    unsure = [one for one in limits if one.side == "b" and one.state in (OPEN, MISSING)]
    a, b = known.names
    said = [f"{known.names[SIDES.index(one.side)]} breaks {_fact(one)}" for side in SIDES for one in broken[side]]
    if broken["a"] and broken["b"]:
        return NOT_YET, ["neither may be driven with", *said]
    if broken["b"]:
        return STAY, said
    if unsure:
        return NOT_YET, [*said, *(f"{b}: {_doubt(one)}" for one in unsure)]
    if broken["a"]:
        return MIGRATE, [*said, f"{b} keeps every hard limit"]
    gain = f"the weighted gain of {b} over {a} is {span(least, most)}"
    if least >= margin:
        return MIGRATE, [f"{gain}; from {margin:g} a migration is worth its work"]
    if most < margin:
        return STAY, [f"{gain}, less than the {margin:g} from which a migration is worth its work"]
    return NOT_YET, [f"{gain}: what is missing decides whether it reaches {margin:g}"]


def _fact(one: Checked) -> str:
    told = "" if MEASURES[one.measure].unit == "yes" else f" with {words_of(one.measure, one.value)}"
    return f"\"{one.limit}\"{told}: {one.why}"


def _doubt(one: Checked) -> str:
    if one.state == MISSING:
        return f"not measured: \"{one.limit}\" ({one.why})"
    places = " of more places" if MEASURES[one.measure].unit == "share" else ""
    return f"not sure to keep \"{one.limit}\" with {words_of(one.measure, one.value)}: measure more frames{places}"


def words_of(measure: str, value: Optional[Interval]) -> str:
    """A value with its limits, for people; "-" for none."""
    if value is None:
        return "-"
    return MEASURES[measure].words(value.value, value.low, value.high)


def span(least: float, most: float) -> str:
    """A gain, or the two between which it lies."""
    return f"{least:+.3f}" if abs(most - least) < 5e-4 else f"{least:+.3f} to {most:+.3f}"


def _changes(
    answer: str, limits: Tuple[Checked, ...], weighed: Tuple[Weighed, ...], known: Evidence, frame: Framework,
    gain: Tuple[float, float],
) -> List[str]:  # fmt: skip
    """What would have to be different for another answer."""
    changes = [
        f"{known.names[1]} keeps \"{one.limit}\" for certain; now {words_of(one.measure, one.value)}"
        for one in limits if one.side == "b" and one.state in (BROKEN, OPEN)
    ]  # fmt: skip
    unmeasured = [one for one in limits if one.side == "b" and one.state == MISSING]
    changes += [f"{known.names[1]} is measured: \"{one.limit}\"" for one in unmeasured]
    changes += _speed(limits, frame)
    if not any(one.side == "b" and one.state != KEPT for one in limits):
        changes += _turning(answer, weighed, frame, gain)
    return changes


def _speed(limits: Tuple[Checked, ...], frame: Framework) -> List[str]:
    """At which speed a verdict that is too late for this one would be in time."""
    late = [one for one in limits if one.measure == "verdict_p95_ms" and one.state in (BROKEN, OPEN) and one.value]
    return [
        f"at {frame.robot.speed_for(one.value.value):.2f} m/s instead of {frame.robot.speed_mps:g} the verdicts of "
        f"{one.side.upper()} would be in time" for one in late if one.value is not None
    ]  # fmt: skip


def _turning(answer: str, weighed: Tuple[Weighed, ...], frame: Framework, gain: Tuple[float, float]) -> List[str]:
    """For each criterion alone: the value of b at which the least gain meets the margin, where it has one."""
    criteria = {one.measure: one for one in frame.criteria}
    lacking = frame.margin - gain[0]
    changes = []
    for one in weighed:
        if one.b is None or one.a is None:
            reach = one.gain_most - one.gain_least
            changes.append(f"{MEASURES[one.measure].label} becomes known: it can move the gain by up to {reach:.3f}")
            continue
        wanted = one.a + (one.gain_least + lacking) / one.weight if one.weight else math.inf
        if 0 <= wanted <= 1:
            word = "stay" if answer == MIGRATE else MIGRATE
            bound = criteria[one.measure].value_of(wanted)
            kind = MEASURES[one.measure]
            changes.append(f"{kind.label} of B at {kind.words(bound)}: {word}, all else equal")
    return changes
