"""The report as a Markdown summary: the answer, its reasons, and the tables; for issues and wikis."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from duck_protection.comparison.framework import MEASURES, OF_SIDE
from duck_protection.comparison.terminal import number, percent, plain, winner

Parts = Mapping[str, Optional[Dict[str, Any]]]


def summary(title: str, parts: Parts, about: Mapping[str, Any], notes: Sequence[str]) -> str:
    """The whole file."""
    host = about["host"]
    lines = [f"# {title}", "", f"{about['date']}, commit {about['commit']}, {host['cpu']}, {host['cores']} cores", ""]
    lines += [f"> {note}" for note in notes] + [""] * bool(notes)
    decision, bench, prompts = (parts.get(name) for name in ("decision", "bench", "prompts"))
    lines += _decision(decision) if decision else []
    lines += _bench(bench) if bench else []
    lines += _prompts(prompts) if prompts else []
    commands = [part["command"] for part in (prompts, bench, decision) if part]
    return "\n".join([*lines, "## Commands", "", "```", *commands, "```", ""])


def _decision(decision: Mapping[str, Any]) -> List[str]:
    a, b = decision["names"]
    lines = [f"## {decision['answer'].capitalize()}: from {a} to {b}", ""]
    for title, found in (("", decision["reasons"]), ("What would change the answer:", decision["changes"])):
        lines += [title, ""] * bool(title and found) + [f"- {one}" for one in found] + [""]
    missing = [f"- {name}: {why}" for name, why in decision["missing"].items()]
    return [*lines, *(["Missing:", "", *missing, ""] if missing else [])]


def _bench(bench: Mapping[str, Any]) -> List[str]:
    a, b = (side["name"] for side in bench["sides"])
    lines = [f"## Benchmark, question {bench['question']}", "", f"| | A {a} | B {b} | B - A | better |",
             "|---|---|---|---|---|"]  # fmt: skip
    for one in bench["measures"]:
        shown = [number(one[key], signed=key == "difference") for key in ("a", "b", "difference")]
        name = f"{MEASURES[one['name']].label}, {one['unit']}"
        lines.append(f"| {name} | {' | '.join(shown)} | {winner(one['winner'])} |")
    for one in bench["crowds"]:
        shown = [number(one[key], signed=key == "difference") for key in ("a", "b", "difference")]
        name = f"verdicts a second, {one['clients']} clients"
        lines.append(f"| {name} | {' | '.join(shown)} | {winner(one['winner'])} |")
    for key, name in OF_SIDE.items():
        shown = [plain(side[key], MEASURES[name].unit) for side in bench["sides"]]
        lines.append(f"| {MEASURES[name].label} | {' | '.join(shown)} | | |")
    return [*lines, ""]


def _prompts(prompts: Mapping[str, Any]) -> List[str]:
    heads = ("who", "question", "right", "STOP judged STOP", "CLEAR judged STOP", "off-mass p50", "better than chance")
    lines = ["## Questions", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in prompts["rows"]:
        shares = [percent(row[key]) for key in ("accuracy", "stop_recall", "false_stops")]
        cells = [row["contender"], row["question"], *shares, plain(row["off_mass_p50"])]
        cells.append("yes" if row["better_than_chance"] else "NO")
        lines.append(f"| {' | '.join(cells)} |")
    best = [f"- best for {one['name']}: {one['best']}" for one in prompts["contenders"] if one["best"]]
    return [*lines, "", *best, ""]
