"""Figures for pages, as SVG whose colours are the page's: readable in light and dark, and without colour.

Drawn by matplotlib with stand-in colours, which then become the CSS variables of page.css. Sides differ by colour
(Okabe and Ito's), by line and by marker. Promise: a figure is the bare SVG element, as wide as its place, with a text
for screen readers; the same drawing gives the same bytes.
"""

from __future__ import annotations

import io
import re
from typing import Any, Callable, Dict, Mapping, Sequence

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


def figure(words: str, draw: Callable[[Axes], None], height: float = 3.6) -> str:
    """The SVG of what draw() draws; words are for screen readers.

    Args:
        height: Inches; it is 7.2 inches wide.
    """
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(7.2, height))
        axes = drawn.subplots()
        draw(axes)
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            drawn.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.02, 1.0), ncols=1, frameon=False)
        drawn.tight_layout(rect=(0, 0, 1, 1 - 0.27 * len(handles) / height))
        out = io.StringIO()
        drawn.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _themed(out.getvalue(), words)


def bars(values: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Lengths below and above each value, shape (2, n); 0 where there is no interval."""
    pairs = [
        (one["value"] - one["low"], one["high"] - one["value"]) if one["low"] is not None else (0.0, 0.0)
        for one in values
    ]
    return np.maximum(np.array(pairs, dtype=float).reshape(-1, 2).T, 0.0)


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
