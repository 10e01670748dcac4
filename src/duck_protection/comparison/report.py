"""The report: one HTML page that needs nothing else, a Markdown summary, and everything as JSON.

Promise: the page loads nothing from anywhere; what makes its numbers weak (answers by chance, a busy machine, few
samples) stands at its top, found by rule; every number comes from the phases' files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from duck_protection.comparison import markdown, plots, terminal
from duck_protection.comparison.deciding import span, words_of
from duck_protection.comparison.framework import MEASURES, OF_SIDE
from duck_protection.comparison.timing import LEAST_TOKENS
from duck_protection.recording import pages
from duck_protection.recording.intervals import Interval
from duck_protection.recording.results import write_json

TITLE = "FastVLM against the system it replaces"
EMPTY = "its accuracy here says nothing, its times may stand."
P99_NEEDS = 500  # verdicts; the 99th percentile of fewer rests on the five slowest or less

Parts = Mapping[str, Optional[Dict[str, Any]]]


def write(folder: Path, parts: Parts, about: Mapping[str, Any]) -> List[Path]:
    """The files written. parts: prompts, bench, decision, shadow; None where there is none."""
    found = notes(parts)
    html, summary, plain = (folder / f"report.{kind}" for kind in ("html", "md", "json"))
    write_json(plain, {**about, "notes": found, **parts})
    summary.write_text(markdown.summary(TITLE, parts, about, found), encoding="utf-8")
    html.write_text(page(folder, parts, about, found), encoding="utf-8")
    return [html, summary, plain]


def notes(parts: Parts) -> List[str]:
    """What a reader must know before the numbers."""
    bench, prompts = parts.get("bench"), parts.get("prompts")
    return [*_of_prompts(prompts), *_of_bench(bench, prompts)]


def _of_prompts(prompts: Optional[Mapping[str, Any]]) -> List[str]:
    if prompts is None:
        return []
    found = [f"{name} answers no question better than chance: {EMPTY}" for name in _guessing(prompts)]
    written = [one["name"] for one in prompts["contenders"] if one["written"]]
    found += [f"{name} gives no logprobs: its choices are read from the word it writes." for name in written]
    if prompts["data"]["danger_only"]:
        found.append('The labels tell danger from none and no more: "right" means that, and SLOW is as good as STOP.')
    return found


def _of_bench(bench: Optional[Mapping[str, Any]], prompts: Optional[Mapping[str, Any]]) -> List[str]:
    if bench is None:
        return []
    told = _guessing(prompts) if prompts is not None else []
    chance = [one["name"] for one in bench["sides"] if not one["better_than_chance"] and one["name"] not in told]
    found = [f"{name} answers {bench['question']} no better than chance: {EMPTY}" for name in chance]
    failed = [one for one in bench["sides"] if one["failed"]]
    found += [f"{one['name']} failed {one['failed']} times; the first: {one['failures'][0][:200]}" for one in failed]
    load, cores, samples = bench["load_average"]["before"], bench["host"]["cores"], len(bench["verdict_ms"][0])
    if load >= cores / 2:
        found.append(f"Other work kept the machine busy (load average {load:.1f} on {cores} cores before it began).")
    if samples < P99_NEEDS:
        found.append(f"p99 rests on the {max(1, round(samples / 100))} slowest of {samples} verdicts: read p95.")
    (spoken,) = (one for one in bench["measures"] if one["name"] == "tokens_per_s")
    for side, one in zip("ab", bench["sides"]):
        if spoken[side]["value"] is None:
            found.append(f"{one['name']} tells no tokens a second: none of its free answers had {LEAST_TOKENS} tokens.")
    if bench["frame_sizes"] != ["640x480"]:
        found.append(f"The frames are {', '.join(bench['frame_sizes'])}, not the robot's 640x480.")
    return found


def _guessing(prompts: Mapping[str, Any]) -> List[str]:
    """Contenders whose every answer may as well be chance."""
    knowing = {row["contender"] for row in prompts["rows"] if row["better_than_chance"]}
    return [one["name"] for one in prompts["contenders"] if one["name"] not in knowing]


def page(folder: Path, parts: Parts, about: Mapping[str, Any], found: Sequence[str]) -> str:
    """The HTML page; pictures are taken from the folder and put inside."""
    filters = {"percent": terminal.percent, "plain": terminal.plain, "winner": terminal.winner, "value": _value,
               "label": _label, "unit": _unit}  # fmt: skip
    prompts, bench, decision = parts.get("prompts"), parts.get("bench"), parts.get("decision")
    shown = {**prompts, "sheets": [_inside(folder, one) for one in prompts["sheets"]]} if prompts else None
    context: Dict[str, Any] = {
        "title": TITLE, "about": about, "notes": found, "prompts": shown, "bench": bench, "decision": decision,
        "of_two": plots.of_two(prompts) if prompts else "",
        "shadow": parts.get("shadow"), "of_side": OF_SIDE, "plots": _plots(prompts, bench),
    }  # fmt: skip
    return pages.page(Path(__file__).with_name("report.html"), {**context, **_decided(decision)}, filters)


def _plots(prompts: Optional[Dict[str, Any]], bench: Optional[Dict[str, Any]]) -> Dict[str, str]:
    drawn: Dict[str, str] = {}
    if bench is not None:
        drawn.update(latency=plots.latency(bench), throughput=plots.throughput(bench))
    if prompts is not None:
        some = any(one["best"] for one in prompts["contenders"])
        drawn.update(questions=plots.questions(prompts), calibration=plots.calibration(prompts) if some else "")
    return drawn


def _decided(decision: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """What the page says of a decision beside its file: pairs of limits, labels, gains in words."""
    if decision is None:
        return {}
    limits = [{**one, "words": words_of(one["measure"], _interval(one["value"]))} for one in decision["limits"]]
    weighed = [
        {**one, "label": _label(one["measure"]), "gain": span(one["gain_least"], one["gain_most"])}
        for one in decision["weighed"]
    ]
    return {
        "limits": list(zip(limits[::2], limits[1::2])), "weighed": weighed, "robot": decision["framework"]["robot"],
        "gain": span(decision["gain_least"], decision["gain_most"]),
    }  # fmt: skip


def _interval(told: Optional[Mapping[str, Any]]) -> Optional[Interval]:
    if told is None:
        return None
    return Interval(*(float("nan") if told[key] is None else told[key] for key in ("value", "low", "high")))


def _value(told: Mapping[str, Any], unit: str, signed: bool = False) -> str:
    if unit == "share" and not signed:
        return terminal.percent(told)
    if unit == "share":
        scaled = {key: None if told[key] is None else 100 * told[key] for key in ("value", "low", "high")}
        return f"{terminal.number(scaled, signed=True)} points"
    shown = terminal.number(told, signed)
    return shown if shown == "-" else f"{shown} {unit}"


def _label(name: str) -> str:
    return MEASURES[name].label


def _unit(name: str) -> str:
    return MEASURES[name].unit


def _inside(folder: Path, entry: Mapping[str, Any]) -> Dict[str, Any]:
    return {**entry, "data": pages.jpeg_inside((folder / entry["file"]).read_bytes())}

