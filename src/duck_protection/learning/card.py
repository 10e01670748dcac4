"""The measured part of a model card, written from an evaluation's JSON between two markers.

Promise: nothing outside the markers is touched, and a card without them is refused.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from duck_protection.learning.breakdown import AWAY
from duck_protection.learning.records import LIMITS

BEGIN = "<!-- measured: begin; written by ./run evaluate --card, not by hand -->"
END = "<!-- measured: end -->"
ROWS = (
    ("likeliest_right", "right level, likeliest word, no thresholds"),
    ("accuracy", "right level, with its threshold record"),
    ("stop_recall", "STOP judged STOP"),
    ("stop_judged_clear", "STOP judged CLEAR"),
    ("danger_recall", "SLOW or STOP judged SLOW or STOP"),
    ("false_stop_frames", "CLEAR judged STOP"),
)
TOPICS = {"count": "how many ducks", "distance": "how far the nearest", "lane": "is one in the lane",
          "ahead": "what is ahead", "all": "these four", "other": "refused, of untaught questions"}  # fmt: skip


def write(file: Path, found: Mapping[str, Any]) -> None:
    """Write the part anew.

    Raises:
        ValueError: The card has no markers.
    """
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN!r} and {END!r} to write between")
    file.write_text(f"{before}{BEGIN}\n{measured(found)}\n{END}{after}", encoding="utf-8")


def measured(found: Mapping[str, Any]) -> str:
    """The part as Markdown."""
    rendered = [one for one in found["sets"] if one["kind"] == "rendered"]
    photographs = [one for one in found["sets"] if one["kind"] == "photographs"]
    record = found["thresholds"]
    limits = ", ".join(f"{key} {record[key]}" for key in LIMITS)
    forgiven = f", forgiven {record['forgiven']}" if "forgiven" in record else ""
    lines = [
        f"Revision {found['revision']}, {found['date'][:10]}, commit {found['commit']}, through the engine, on frames",
        "that it was never trained on; in brackets counts and 95 % intervals (Wilson).",
        f"Thresholds: {limits}{forgiven}; {found['origin']}.",
    ]
    return "\n".join([*lines, *_rendered(rendered), *_photographs(photographs), *_answers(found.get("answers"))])


def _rendered(sets: Sequence[Mapping[str, Any]]) -> List[str]:
    columns: List[Tuple[str, Mapping[str, Any]]] = []
    for one in sets:
        away = one["parts"].get("limit", {}).get(AWAY)
        columns += [(one["name"], one)] + ([(f"{one['name']}, away", away)] if away else [])
    if not columns:
        return []
    lines = ["", '"Away": farther than 5 cm from a limit of the truth, not hanging on a mere glimpse of a duck.', ""]
    lines += [_row(["", *(name for name, _ in columns)]), "|" + "---|" * (len(columns) + 1)]
    lines.append(_row(["frames", *(f"{column['n']:,}" for _, column in columns)]))
    return lines + [_row([words, *(share(column["counts"][key]) for _, column in columns)]) for key, words in ROWS]


def _photographs(sets: Sequence[Mapping[str, Any]]) -> List[str]:
    if not sets:
        return []
    heads = ["photographs", "a duck in the lane: SLOW or STOP", "of these STOP", "none in the lane: judged STOP"]
    lines = ["", _row(heads), "|---|---|---|---|"]
    for one in sets:
        parts = one["parts"].get("source", {})
        named = [(one["name"], one), *((f"{one['name']}, robot {name}", part) for name, part in parts.items())]
        for name, part in named if len(parts) > 1 else named[:1]:
            keys = ("danger_recall", "stop_recall", "false_stop_frames")
            lines.append(_row([name, *(share(part["counts"][key]) for key in keys)]))
    return lines


def _answers(answers: Any) -> List[str]:
    if not answers:
        return []
    lines = ["", _row(["free answers", "right"]), "|---|---|"]
    known: Dict[str, Any] = answers["topics"]
    return lines + [_row([words, share(known[topic])]) for topic, words in TOPICS.items() if topic in known]


def share(count: Mapping[str, Any]) -> str:
    """ "99.2 % (521 of 525; 98.0-99.7)", or "-" of none."""
    if not count["of"]:
        return "-"
    low, high = (f"{100 * count[key]:.1f}" for key in ("low", "high"))
    return f"{100 * count['value']:.1f} % ({count['hits']:,} of {count['of']:,}; {low}-{high})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
