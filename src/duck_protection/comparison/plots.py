"""The report's plots, as SVG whose colours are the page's: readable in light and dark, and without colour.

Drawn by matplotlib with stand-in colours, which then become the page's CSS variables. Sides differ by colour (Okabe and
Ito's blue and orange), by line and by marker. Promise: every plot has axes with units, and a text for screen readers.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, Callable, Dict, List, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot: no global state, no window

# Stand-ins that nothing else in a figure has, and the page's variable for each.
INK, FAINT, A, B = "#010203", "#010204", "#010205", "#010206"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", A: "var(--a)", B: "var(--b)"}
SIDES = ((A, "-", "o"), (B, "--", "s"))
STYLE = {
    "font.size": 11, "font.family": "DejaVu Sans", "svg.fonttype": "none", "text.color": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT, "axes.axisbelow": True, "svg.hashsalt": "page",
}  # fmt: skip


def latency(bench: Mapping[str, Any]) -> str:
    """Share of verdicts that were there within a time: one step line a side; the need is decision.json's matter."""

    def draw(axes: Axes) -> None:
        for side, samples, (colour, line, _) in zip(bench["sides"], bench["verdict_ms"], SIDES):
            known = np.sort([one for one in samples if one is not None and math.isfinite(one)])
            if len(known):
                shares = 100 * np.arange(1, len(known) + 1) / len(samples)
                axes.step(known, shares, where="post", color=colour, linestyle=line, linewidth=2, label=side["name"])
        axes.set(xlabel="verdict within, ms", ylabel="% of verdicts", ylim=(0, 101))

    return _plot("How many verdicts were there within how many milliseconds, for A and B", draw)


def throughput(bench: Mapping[str, Any]) -> str:
    """Verdicts a second by clients, with intervals."""

    def draw(axes: Axes) -> None:
        clients = [one["clients"] for one in bench["crowds"]]
        for side, letter, (colour, line, marker) in zip(bench["sides"], "ab", SIDES):
            _with_bars(axes, clients, [one[letter] for one in bench["crowds"]], colour, line, marker, side["name"])
        axes.set_xscale("log", base=2)
        axes.set_xticks(clients, [str(one) for one in clients])
        axes.set(xlabel="clients that ask at once", ylabel="verdicts a second")
        axes.set_ylim(bottom=0)

    return _plot("Verdicts a second for 1 to 16 clients, for A and B", draw)


def calibration(prompts: Mapping[str, Any]) -> str:
    """P(CLEAR) as said against the share that was CLEAR, of the first two contenders, each at its best question."""
    best = {one["name"]: one["best"] for one in prompts["contenders"]}
    rows = {row["contender"]: row for row in prompts["rows"] if best[row["contender"]] == row["question"]}

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5)
        for name, (colour, line, marker) in zip(best, SIDES):
            if name not in rows:
                continue
            row = rows[name]
            said, so = [one["said"] for one in row["bins"]], [one["so"] for one in row["bins"]]
            sizes = [20 + 160 * one["n"] / row["n"] for one in row["bins"]]
            axes.plot(said, so, color=colour, linestyle=line, linewidth=1.2)
            axes.scatter(said, so, sizes, color=colour, marker=marker, label=f"{row['contender']} · {row['question']}")
        axes.set(xlabel="P(CLEAR) as the model says", ylabel="share that was CLEAR", xlim=(-0.03, 1.03),
                 ylim=(-0.03, 1.03))  # fmt: skip

    return _plot(f"Calibration of P(CLEAR){of_two(prompts)}; on the line a model is right", draw)


def questions(prompts: Mapping[str, Any]) -> str:
    """Right levels of each question, a row each, with intervals; a marker for each of the first two contenders."""
    keys: List[str] = [one["key"] for one in prompts["questions"].values()]

    def draw(axes: Axes) -> None:
        for place, (contender, (colour, _, marker)) in enumerate(zip(prompts["contenders"], SIDES)):
            rows = {row["question"]: row for row in prompts["rows"] if row["contender"] == contender["name"]}
            known = [(number, rows[key]["accuracy"]) for number, key in enumerate(keys) if key in rows]
            heights = [number + (0.14 if place else -0.14) for number, _ in known]
            values = [one["value"] for _, one in known]
            bars = _bars([one for _, one in known])
            axes.errorbar(values, heights, xerr=bars, color=colour, fmt=marker, markersize=7, capsize=3,
                          label=contender["name"])  # fmt: skip
        axes.set_yticks(range(len(keys)), keys)
        axes.invert_yaxis()
        axes.set(xlabel="share of frames whose likeliest level is right", xlim=(-0.02, 1.02))

    return _plot(f"Right levels by question{of_two(prompts)}", draw, height=1.2 + 0.5 * len(keys))


def of_two(prompts: Mapping[str, Any]) -> str:
    """What a caption must add where more contenders took part than the two that are drawn."""
    return f", of the first two of {len(prompts['contenders'])} contenders" if len(prompts["contenders"]) > 2 else ""


def _with_bars(
    axes: Axes, x: Sequence[float], values: Sequence[Mapping[str, Any]], colour: str, line: str, marker: str, name: str
) -> None:
    heights = [one["value"] for one in values]
    axes.errorbar(x, heights, yerr=_bars(values), color=colour, linestyle=line, marker=marker, capsize=3, label=name)


def _bars(values: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Lengths below and above each value, shape (2, n); 0 where there is no interval."""
    pairs = [
        (one["value"] - one["low"], one["high"] - one["value"]) if one["low"] is not None else (0.0, 0.0)
        for one in values
    ]
    return np.maximum(np.array(pairs, dtype=float).reshape(-1, 2).T, 0.0)


def _plot(words: str, draw: Callable[[Axes], None], height: float = 3.6) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, height))
        axes = figure.subplots()
        draw(axes)
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.02, 1.0), ncols=1, frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.27 * len(handles) / height))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _themed(out.getvalue(), words)


def _themed(svg: str, words: str) -> str:
    """The SVG element alone, in the page's colours, as wide as its place, with its text."""
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = svg[svg.index("<svg") :]
    for size in ("height", "width"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    labels: Dict[str, str] = {"&": "&amp;", '"': "&quot;", "<": "&lt;"}
    safe = "".join(labels.get(letter, letter) for letter in words)
    return svg.replace("<svg", f'<svg role="img" aria-label="{safe}"', 1)
