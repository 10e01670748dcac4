"""A drive as one picture: what was judged and true, how near the ducks were, how fast the robot went.

Answers at a glance whether every duck was seen in time. Three panels share one time axis, in seconds since the
first frame. Promise: it shows the same drive that summary.py counts, readable at 1000 pixels' width.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure  # not pyplot: no global state, no window
from matplotlib.lines import Line2D

from duck_protection.corridor import DEFAULT, Corridor
from duck_protection.recording.drive import Drive
from duck_protection.recording.palette import COLOURS, hex_of
from duck_protection.recording.summary import Standstill, Summary, standstills
from duck_protection.verdict import Level

INK, FAINT = "#22272e", "#9aa3ad"
OTHER_DUCK_M = 0.15  # between two frames: no robot and no duck is so fast
ROWS = (Level.UNKNOWN, Level.CLEAR, Level.SLOW, Level.STOP)
STYLE = {
    "font.size": 11, "font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.edgecolor": "#c5ccd3", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e6e9ec", "axes.axisbelow": True, "axes.titlelocation": "left",
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlecolor": INK, "figure.facecolor": "white",
}  # fmt: skip


def write(path: Path, drive: Drive, summary: Summary, subtitle: str = "", corridor: Corridor = DEFAULT) -> None:
    """Writes the PNG, 1500 x 1020 pixels. An empty drive gives an empty picture with its title."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.8), dpi=150)
        panels = figure.subplots(3, 1, sharex=True, height_ratios=(1.15, 1, 1))
        figure.subplots_adjust(left=0.105, right=0.945, top=0.845, bottom=0.075, hspace=0.30)
        _title(figure, summary, subtitle)
        if drive.moments:
            start_s = drive.moments[0].stamp_s
            times_s = np.array([moment.stamp_s - start_s for moment in drive.moments])
            _levels(panels[0], drive, times_s)
            _distance(panels[1], drive, times_s, corridor)
            _speed(panels[2], drive, times_s)
            _marks(panels, drive, start_s)
            panels[2].set_xlim(0, max(1.0, times_s[-1]))
        panels[2].set_xlabel("seconds")
        figure.savefig(path)


def _title(figure: Figure, summary: Summary, subtitle: str) -> None:
    figure.text(0.022, 0.955, _headline(summary), fontsize=17, fontweight="bold", va="center")
    figure.text(0.022, 0.912, _numbers(summary), fontsize=10.5, va="center", color=INK)
    figure.text(0.978, 0.955, subtitle, fontsize=10, va="center", ha="right", color="#6b7480")


def _headline(summary: Summary) -> str:
    hits, met = summary.ducks_hit, summary.ducks_met
    ducks = "no duck" if hits == 0 else "1 duck" if hits == 1 else f"{hits} ducks"
    return f"{ducks[0].upper()}{ducks[1:]} hit, {met} met in {summary.metres:.1f} m"


def _numbers(summary: Summary) -> str:
    delay = "no verdict"
    if summary.frame_to_verdict_p50_ms is not None:
        delay = f"{summary.frame_to_verdict_p50_ms:.0f} ms (p95 {summary.frame_to_verdict_p95_ms:.0f})"
    return (
        f"{summary.frames_judged} frames judged, {summary.verdicts_per_s:.1f}/s   ·   frame to verdict {delay}   ·   "
        f"{_many(summary.stops, 'stop')}, {summary.false_stops} false   ·   {_many(summary.halts, 'halt')}"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _levels(axes: Any, drive: Drive, times_s: np.ndarray) -> None:
    axes.set_title("Level in force  (coloured)  and true level  (line)")
    stamps = [moment.stamp_s for moment in drive.moments]
    for left_s, right_s, level in _bands([drive.in_force(stamp_s).level for stamp_s in stamps], times_s):
        axes.bar(left_s, level + 0.5, right_s - left_s, -0.5, align="edge", color=hex_of(COLOURS[level]), linewidth=0)
    axes.step(times_s, [moment.level for moment in drive.moments], where="post", color=INK, linewidth=1.4)
    axes.set_yticks([int(level) for level in ROWS], [level.name for level in ROWS])
    axes.set_ylim(-0.6, 3.6)
    axes.grid(visible=False, axis="x")


def _bands(levels: Sequence[Level], times_s: np.ndarray) -> List[Tuple[float, float, Level]]:
    """Runs of one level as (from, to, level)."""
    bands: List[Tuple[float, float, Level]] = []
    for index, level in enumerate(levels):
        until_s = float(times_s[min(index + 1, len(levels) - 1)])
        if bands and bands[-1][2] is level:
            bands[-1] = (bands[-1][0], until_s, level)
        else:
            bands.append((float(times_s[index]), until_s, level))
    return bands


def _distance(axes: Any, drive: Drive, times_s: np.ndarray, corridor: Corridor) -> None:
    axes.set_title("Bumper to the nearest duck in the way  (m)")
    stop, slow = hex_of(COLOURS[Level.STOP]), hex_of(COLOURS[Level.SLOW])
    axes.axhspan(corridor.stop_m, corridor.slow_m, color=slow, alpha=0.10, linewidth=0)
    axes.axhspan(0, corridor.stop_m, color=stop, alpha=0.12, linewidth=0)
    for limit_m, level, colour in ((corridor.stop_m, "STOP", stop), (corridor.slow_m, "SLOW", slow)):
        axes.axhline(limit_m, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(1.006, limit_m, level, transform=axes.get_yaxis_transform(), color=colour,
                  ha="left", va="center", fontsize=9, fontweight="bold")  # fmt: skip
    near_m = np.array([np.nan if moment.nearest_m is None else moment.nearest_m for moment in drive.moments])
    near_m[1:][np.abs(np.diff(near_m)) > OTHER_DUCK_M] = np.nan  # no line from one duck to the next
    axes.plot(times_s, near_m, color=INK, linewidth=1.8, solid_capstyle="round")
    axes.set_ylim(0, 1.5)


def _speed(axes: Any, drive: Drive, times_s: np.ndarray) -> None:
    axes.set_title("Speed  (m/s)")
    command = [moment.command_mps for moment in drive.moments]
    actual = [moment.speed_mps for moment in drive.moments]
    axes.step(times_s, command, where="post", color=FAINT, linewidth=1.2, label="commanded")
    axes.plot(times_s, actual, color="#0072b2", linewidth=1.8, label="driven")
    axes.set_ylim(min(-0.01, *actual) if actual else -0.01, max(0.25, 1.15 * max(*command, *actual, 0.0)))


def _marks(panels: Sequence[Any], drive: Drive, start_s: float) -> None:
    """Where the robot came to rest, under the speed; where a duck was hit, through all panels."""
    for still in standstills(drive):
        axes, at_s = panels[2], still.stamp_s - start_s
        marker, colour = _mark(still)
        axes.plot(at_s, 0.0, marker, color=colour, markersize=9, clip_on=False, zorder=5, markeredgecolor="white")
    hits = [moment.ducks_hit + moment.flank_hits for moment in drive.moments]
    for index in np.flatnonzero(np.diff(hits) > 0):
        for axes in panels:
            axes.axvline(drive.moments[index + 1].stamp_s - start_s, color="#7a0177", linewidth=2)
    _legend(panels[2])


def _mark(still: Standstill) -> Tuple[str, str]:
    if still.cause is not Level.STOP:
        return "D", hex_of(COLOURS[Level.UNKNOWN])
    return ("8", hex_of(COLOURS[Level.STOP])) if still.duck else ("X", INK)


def _legend(axes: Any) -> None:
    stop, grey = hex_of(COLOURS[Level.STOP]), hex_of(COLOURS[Level.UNKNOWN])
    marks = [("8", stop, "stop for a duck"), ("X", INK, "false stop"), ("D", grey, "halt, no verdict")]
    handles = [Line2D([], [], color="#0072b2", linewidth=1.8, label="driven")]
    handles.append(Line2D([], [], color=FAINT, linewidth=1.2, label="commanded"))
    handles += [Line2D([], [], marker=m, color=c, linestyle="", markersize=8, label=text) for m, c, text in marks]
    handles.append(Line2D([], [], color="#7a0177", linewidth=2, label="duck hit"))
    axes.legend(handles=handles, ncols=6, fontsize=8.5, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.985),
                borderaxespad=0.1, handletextpad=0.4, columnspacing=1.2, handlelength=1.4)  # fmt: skip
