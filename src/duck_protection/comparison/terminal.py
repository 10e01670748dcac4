"""What a terminal shows after each phase: tables of 100 columns, and the decision in words.

Nothing is computed here. Promise: a number never stands without its interval where it has one, and what is missing
shows as "-", never as a zero.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Optional, Sequence, Tuple

from duck_protection.comparison.deciding import Decision
from duck_protection.comparison.framework import MEASURES, OF_SIDE, short

WIDTH = 100


def prompts_table(found: Mapping[str, Any]) -> str:
    """One line a contender and question."""
    lines = [
        f"{'':22}{'right':>17}{'STOP seen':>17}{'false stops':>17}{'off-mass':>10}{'calibr.':>8}{'chance':>8}",
    ]
    for contender in found["contenders"]:
        lines.append(_cut(contender["name"], WIDTH) + _writes(contender))
        for row in found["rows"]:
            if row["contender"] == contender["name"]:
                star = "*" if row["question"] == contender["best"] else " "
                lines.append(
                    f"  {star} {row['question']:18}{percent(row['accuracy']):>17}{percent(row['stop_recall']):>17}"
                    f"{percent(row['false_stops']):>17}{plain(row['off_mass_p50']):>10}"
                    f"{plain(row['calibration_error']):>8}{'no' if row['better_than_chance'] else 'YES':>8}"
                )
        lines += [f"    {one['question']:18}refused: {_cut(one['why'], 60)}" for one in contender["refused"]]
    lines += [
        f"{one['question']:16}{_cut(one['a'], 28)} | {_cut(one['b'], 28)}: same level {one['same']:.0%} of {one['n']}"
        for one in found["agreements"]
    ]
    return "\n".join([*lines, "* best on the choosing part; 'chance' YES: no better than chance"])


def bench_table(found: Mapping[str, Any]) -> str:
    """One line a measure, and one a crowd."""
    a, b = found["sides"]
    lines = [f"A {a['name']}", f"B {b['name']}", f"{'':22}{'A':>24}{'B':>24}{'B - A':>24}"]
    lines += [_line(one["name"], one, winner(one["winner"])) for one in found["measures"]]
    crowds = [(f"verdicts/s, {_clients(one['clients'])}", one) for one in found["crowds"]]
    lines += [_line(name, one, winner(one["winner"])) for name, one in crowds]
    for key, name in OF_SIDE.items():
        unit = MEASURES[name].unit
        lines.append(f"{name:22}{plain(a[key], unit):>24}{plain(b[key], unit):>24}")
    return "\n".join([*lines, *(_chance(letter, side) for letter, side in (("A", a), ("B", b)))]).rstrip()


def decision_text(decision: Decision, names: Tuple[str, str]) -> str:
    """The answer, its reasons, what would change it, and what is missing."""
    missing = [f"{name}: {why}" for name, why in decision.missing.items()]
    parts = [
        f"{decision.answer.upper()}: from {names[0]} to {names[1]}",
        *_list("because", decision.reasons),
        *_list("what would change it", decision.changes),
        *_list("missing", missing),
    ]
    return "\n".join(parts)


def percent(value: Optional[Mapping[str, Any]]) -> str:
    """A share with its interval: "86 (83-89) %"."""
    if value is None or not _finite(value["value"]):
        return "-"
    limits = f" ({100 * value['low']:.0f}-{100 * value['high']:.0f})" if _finite(value["low"]) else ""
    return f"{100 * value['value']:.1f}{limits} %"


def number(value: Mapping[str, Any], signed: bool = False) -> str:
    """A number with its interval: "24.1 (23.6 to 25.0)"."""
    if not _finite(value["value"]):
        return "-"
    sign = "+" if signed else ""
    middle, low, high = (short(value[key], sign) if _finite(value[key]) else "" for key in ("value", "low", "high"))
    return f"{middle} ({low} to {high})" if low else middle


def plain(value: Optional[float], unit: str = "") -> str:
    """A bare number, or "-"."""
    return f"{short(value)} {unit}".strip() if value is not None and _finite(value) else "-"


def winner(word: str) -> str:
    """Who is better, for people."""
    return {"a": "A", "b": "B", "draw": "draw", "unknown": ""}[word]


def _line(name: str, one: Mapping[str, Any], word: str) -> str:
    difference = number(one["difference"], signed=True)
    return f"{name:22}{number(one['a']):>24}{number(one['b']):>24}{difference:>24} {word}".rstrip()


def _chance(letter: str, side: Mapping[str, Any]) -> str:
    better = side["better_than_chance"]
    return "" if better else f"{letter}'s answers are no better than chance (p {side['chance_p']:.2f})"


def _writes(contender: Mapping[str, Any]) -> str:
    return " (no logprobs: read from the word it writes)" if contender["written"] else ""


def _list(title: str, lines: Sequence[str]) -> Sequence[str]:
    return [title, *(f"  - {line}" for line in lines)] if lines else []


def _finite(value: Optional[float]) -> bool:
    return value is not None and math.isfinite(value)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _clients(count: int) -> str:
    return f"{count} client" + ("s" if count > 1 else "")
