"""One live line in the terminal while a drive or a replay runs, at most 100 columns wide.

Answers: how long still, what is in force, how fresh is it? On a terminal the line is redrawn in place; anywhere
else (a file, CI) a plain line is printed every 5 s. Promise: nothing wraps, nothing flickers, and the terminal is
left as it was found.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional, TextIO, Type

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from duck_protection.recording.palette import COLOURS, hex_of
from duck_protection.verdict import Level

COLUMNS = 100
BAR_CELLS = 20
REFRESH_HZ = 8.0
PLAIN_EVERY_S = 5.0
SHAPES = {Level.UNKNOWN: "◆", Level.CLEAR: "●", Level.SLOW: "▲", Level.STOP: "■"}


@dataclass(frozen=True)
class Status:
    """What the line says. done: 0 to 1, None when there is no end; left: what is still to come, in words."""

    done: Optional[float]
    left: str
    level: Level
    probability: Optional[float]  # of the level in force
    age_s: Optional[float]
    verdicts_per_s: Optional[float]  # None: not told
    tail: str  # ducks met and hit, or the file's name


class LiveLine:
    """Use as a context. Times are a monotonic clock's."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self._console = Console(file=stream, highlight=False)
        self._fancy = self._console.is_terminal
        self._width = min(COLUMNS, self._console.width) if self._fancy else COLUMNS
        self._live = Live(console=self._console, refresh_per_second=REFRESH_HZ, transient=True)
        self._spinner = Spinner("dots", style="bold")
        self._printed_s: Optional[float] = None
        self._printed = ""

    def __enter__(self) -> LiveLine:
        if self._fancy:
            self._live.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], err: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._fancy:
            self._live.stop()

    def wait(self, text: str, waited_s: float) -> None:
        """Shows what is being waited for, and for how long already."""
        if self._fancy:
            self._spinner.update(text=_cut(Text(f" {text}  {waited_s:.0f} s"), self._width - 2))
            self._live.update(self._spinner)
        elif text != self._printed:
            self._print(Text(text))
        self._printed = text

    def show(self, status: Status, now_s: float) -> None:
        """Shows how it goes."""
        line = _cut(line_of(status), self._width)
        if self._fancy:
            self._live.update(line)
        elif self._printed_s is None or now_s - self._printed_s >= PLAIN_EVERY_S:
            self._print(line)
            self._printed_s = now_s

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self._console.print(text, markup=False, soft_wrap=True)

    def _print(self, line: Text) -> None:
        self._console.print(line.plain.rstrip(), markup=False, soft_wrap=True)


def line_of(status: Status) -> Text:
    """The line, every part at its own fixed place so that nothing jumps."""
    colour = hex_of(COLOURS[status.level])
    line = Text(no_wrap=True, overflow="crop")
    if status.done is not None:
        filled = round(BAR_CELLS * min(1.0, max(0.0, status.done)))
        line.append("━" * filled, colour).append("─" * (BAR_CELLS - filled), "grey37")
        line.append(" ")
    line.append(f"{status.left:<10}", "dim")
    line.append(f" {SHAPES[status.level]} {status.level.name:<7}", f"bold {colour}")
    sure = "" if status.probability is None else f"{100 * status.probability:.0f} %"
    line.append(f" {sure:>5}")
    line.append(f"  {_age(status.age_s):>8} old", "dim" if _fresh(status.age_s) else "bold")
    if status.verdicts_per_s is not None:
        line.append(f"  {status.verdicts_per_s:4.1f} verdicts/s", "dim")
    return line.append(f"  {status.tail}")


def _age(age_s: Optional[float]) -> str:
    if age_s is None:
        return "-"
    return f"{1e3 * age_s:.0f} ms" if age_s < 10 else f"{age_s:.0f} s"


def _fresh(age_s: Optional[float]) -> bool:
    return age_s is not None and age_s < 0.4


def _cut(line: Text, columns: int) -> Text:
    line.truncate(columns, overflow="ellipsis")
    return line


def minutes(seconds: float) -> str:
    """Seconds as 1:05."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


def shown(path: Path) -> str:
    """The path as a person in this folder would write it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if here in path.parents else str(path)
