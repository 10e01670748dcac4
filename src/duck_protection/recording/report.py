"""What a drive's numbers look like in a terminal when it is over."""
from __future__ import annotations

from typing import List, Optional, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from duck_protection.recording.palette import COLOURS, hex_of
from duck_protection.recording.summary import Summary
from duck_protection.verdict import Level

LEAST_M = 0.1


def report(summary: Summary, files: str, troubles: Sequence[str] = ()) -> Group:
    """A headline, the numbers, the files. troubles: what else went wrong, in words."""
    good = not troubles and not troubles_of(summary)
    mark = Text("✔ " if good else "✘ ", f"bold {hex_of(COLOURS[Level.CLEAR if good else Level.STOP])}")
    bad = [Text(f"  {trouble}", style=hex_of(COLOURS[Level.STOP])) for trouble in troubles]
    return Group(Text(), mark.append(headline(summary), "bold default"), *bad, _table(summary, files), Text())


def troubles_of(summary: Summary) -> List[str]:
    """Why this drive counts as failed; empty when it does not."""
    found = []
    if summary.ducks_hit:
        found.append(f"{summary.ducks_hit} of {summary.ducks_met} ducks hit by the front bumper")
    if not summary.frames_judged:
        found.append("not a single frame was judged")
    elif summary.metres < LEAST_M:
        found.append("the robot did not drive: no ducks hit is no merit then")
    return found


def headline(summary: Summary) -> str:
    """The outcome in one sentence."""
    hits = "No duck" if not summary.ducks_hit else _many(summary.ducks_hit, "duck")
    return f"{hits} hit, {summary.ducks_met} met in {summary.metres:.1f} m and {summary.seconds:.0f} s"


def _table(summary: Summary, files: str) -> Table:
    right = "-" if summary.levels_right is None else f"{100 * summary.levels_right:.1f} %"
    oldest = _ms(summary.oldest_evidence_ms)
    rows = [
        ("frames judged", str(summary.frames_judged), f"{summary.verdicts_per_s:.1f} a second"),
        ("frame to verdict", _ms(summary.frame_to_verdict_p50_ms),
         f"p95 {_ms(summary.frame_to_verdict_p95_ms)}, oldest evidence {oldest}"),
        ("levels right", right, f"{summary.stop_judged_clear} times CLEAR where STOP was true"),
        ("stops", str(summary.stops), f"{summary.false_stops} of them without a duck"),
        ("halts", str(summary.halts), "standstills for want of a verdict"),
        ("flank hits", str(summary.flank_hits), "ducks that walked into the robot's side"),
    ]  # fmt: skip
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", min_width=18)
    table.add_column(justify="right", min_width=8)
    table.add_column(style="dim")
    for name, value, more in rows:
        table.add_row(f"  {name}", value, more)
    if files:
        table.add_row("  written", "", Text(files, style="default"))
    return table


def _ms(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
