"""What was measured of both sides, as the decision reads it: from prompts.json and bench.json, by the measures' names.

Promise: a measure that is not in the files, or is no number there, is missing; nothing is filled in. Reliability is
read at the question of the benchmark, of the contender with the same model, revision and place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from duck_protection.comparison.framework import MEASURES, OF_SIDE, Framework
from duck_protection.recording.intervals import Interval

FROM_PROMPTS = ("accuracy", "stop_recall", "stop_judged_clear", "false_stops")
SIDES = ("a", "b")


@dataclass(frozen=True)
class Evidence:
    """What is known.

    Args:
        values: By side ("a", "b") and measure; a number without an interval has NaN limits.
        draws: Measures known of both in which they do not differ by more than the noise, or nobody can tell.
        missing: By side and measure, why it is not known.
    """

    names: Tuple[str, str]
    values: Mapping[Tuple[str, str], Interval]
    draws: frozenset[str]
    missing: Mapping[Tuple[str, str], str]


def evidence(bench: Optional[Mapping[str, Any]], prompts: Optional[Mapping[str, Any]], frame: Framework) -> Evidence:
    """All that the two files and the framework say about both sides."""
    found: Dict[Tuple[str, str], Any] = {}
    reasons: Dict[Tuple[str, str], str] = {}
    names, draws = ("A", "B"), frozenset[str]()
    if bench is not None:
        names = (bench["sides"][0]["name"], bench["sides"][1]["name"])
        measures = [*bench["measures"], *(one for one in bench["crowds"] if one["clients"] == frame.robot.robots)]
        draws = frozenset(one["name"] for one in measures if one["winner"] not in SIDES and _both(one["a"], one["b"]))
        for number, side in enumerate(SIDES):
            found.update({(side, name): value for name, value in _of_bench(bench, number, frame).items()})
            reasons.update({(side, name): why for name, why in _reasons(bench["sides"][number]).items()})
            row = _row(prompts, bench["sides"][number], bench["question"])
            found.update({(side, name): row[name] for name in FROM_PROMPTS if row})
        draws |= frozenset(name for name in FROM_PROMPTS if _overlap(*(found.get((side, name)) for side in SIDES)))
    for side in SIDES:
        found[side, "upkeep_h_month"] = frame.upkeep[f"{side}_h_month"]
    values = {key: known for key, told in found.items() for known in [_interval(told)] if math.isfinite(known.value)}
    everything = [(side, name) for side in SIDES for name in MEASURES]
    missing = {key: reasons.get(key, _command(key[1], bench)) for key in everything if key not in values}
    return Evidence(names, values, draws, missing)


def _of_bench(bench: Mapping[str, Any], number: int, frame: Framework) -> Dict[str, Any]:
    side, letter = bench["sides"][number], SIDES[number]
    measured = {one["name"]: one[letter] for one in bench["measures"]}
    crowds = {one["clients"]: one[letter] for one in bench["crowds"]}
    return {
        **measured, **{name: side[key] for key, name in OF_SIDE.items()},
        "better_than_chance": float(side["better_than_chance"]), "verdicts_per_s": crowds.get(frame.robot.robots),
    }  # fmt: skip


def _reasons(side: Mapping[str, Any]) -> Dict[str, str]:
    known = {"start_s": side["start_why"], "memory_mib": side["why"], "card_mib": side["why"]}
    return {name: why for name, why in known.items() if why}


def _row(
    prompts: Optional[Mapping[str, Any]], side: Mapping[str, Any], question: str
) -> Optional[Mapping[str, Any]]:  # fmt: skip
    """The line of prompts.json that is about this side and question."""
    if prompts is None:
        return None
    same = ("where", "model", "revision", "dtype")
    names = [one["name"] for one in prompts["contenders"] if all(one[key] == side[key] for key in same)]
    rows: Sequence[Mapping[str, Any]] = prompts["rows"]
    return next((row for row in rows if row["contender"] in names and row["question"] == question), None)


def _interval(told: Any) -> Interval:
    if isinstance(told, Mapping):
        return Interval(*(math.nan if told[key] is None else float(told[key]) for key in ("value", "low", "high")))
    return Interval(math.nan if told is None else float(told))


def _overlap(a: Any, b: Any) -> bool:
    """Whether two intervals meet: the careful way to a draw where frames were not drawn together. One that has no
    limits may meet any."""
    one, other = _interval(a), _interval(b)
    return _both(a, b) and not (one.low > other.high or other.low > one.high)


def _both(a: Any, b: Any) -> bool:
    return all(math.isfinite(_interval(one).value) for one in (a, b))


def _command(name: str, bench: Optional[Mapping[str, Any]]) -> str:
    origin = MEASURES[name].origin
    if origin == "decision.yaml":
        return "your own estimate: fill in upkeep in decision.yaml"
    if origin == "bench" and bench is not None:
        return "could not be measured on this machine"
    return f"not measured: ./run compare {origin}"
