"""The report's plots, as figures of recording/figures.py: A's line is solid, B's is dashed.

Promise: every plot has axes with units, and a text for screen readers.
"""

from __future__ import annotations

import math
from typing import Any, List, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from duck_protection.recording.figures import FAINT, SIDES, bars, figure


def latency(bench: Mapping[str, Any]) -> str:
    """Share of verdicts that were there within a time: one step line a side; the need is decision.json's matter."""

    def draw(axes: Axes) -> None:
        for side, samples, (colour, line, _) in zip(bench["sides"], bench["verdict_ms"], SIDES):
            known = np.sort([one for one in samples if one is not None and math.isfinite(one)])
            if len(known):
                shares = 100 * np.arange(1, len(known) + 1) / len(samples)
                axes.step(known, shares, where="post", color=colour, linestyle=line, linewidth=2, label=side["name"])
        axes.set(xlabel="verdict within, ms", ylabel="% of verdicts", ylim=(0, 101))

    return figure("How many verdicts were there within how many milliseconds, for A and B", draw)


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

    return figure("Verdicts a second for 1 to 16 clients, for A and B", draw)


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

    return figure(f"Calibration of P(CLEAR){of_two(prompts)}; on the line a model is right", draw)


def questions(prompts: Mapping[str, Any]) -> str:
    """Right levels of each question, a row each, with intervals; a marker for each of the first two contenders."""
    keys: List[str] = [one["key"] for one in prompts["questions"].values()]

    def draw(axes: Axes) -> None:
        for place, (contender, (colour, _, marker)) in enumerate(zip(prompts["contenders"], SIDES)):
            rows = {row["question"]: row for row in prompts["rows"] if row["contender"] == contender["name"]}
            known = [(number, rows[key]["accuracy"]) for number, key in enumerate(keys) if key in rows]
            heights = [number + (0.14 if place else -0.14) for number, _ in known]
            values = [one["value"] for _, one in known]
            lengths = bars([one for _, one in known])
            axes.errorbar(values, heights, xerr=lengths, color=colour, fmt=marker, markersize=7, capsize=3,
                          label=contender["name"])  # fmt: skip
        axes.set_yticks(range(len(keys)), keys)
        axes.invert_yaxis()
        axes.set(xlabel="share of frames whose likeliest level is right", xlim=(-0.02, 1.02))

    return figure(f"Right levels by question{of_two(prompts)}", draw, height=1.2 + 0.5 * len(keys))


def of_two(prompts: Mapping[str, Any]) -> str:
    """What a caption must add where more contenders took part than the two that are drawn."""
    return f", of the first two of {len(prompts['contenders'])} contenders" if len(prompts["contenders"]) > 2 else ""


def _with_bars(
    axes: Axes, x: Sequence[float], values: Sequence[Mapping[str, Any]], colour: str, line: str, marker: str, name: str
) -> None:
    heights = [one["value"] for one in values]
    axes.errorbar(x, heights, yerr=bars(values), color=colour, linestyle=line, marker=marker, capsize=3, label=name)
