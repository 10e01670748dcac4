"""What was seen around a moment, line by line: so that a forbidden motion is never a mere count.

Answers, for people: which words had reached the guard, which the witness by its own connection, what were the wheels
told, and what did the robot's nodes say themselves. Judges nothing. Knows no ROS but the form of its log lines.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List, Tuple

from ledger import Ledger, Window, Word

BEFORE_S, AFTER_S = 1.5, 0.5
MOST = 120  # lines: pictures at 30 Hz, words at 10 to 30 Hz, commands at 40 Hz, for two seconds
LEVELS = ("UNKNOWN", "CLEAR", "SLOW", "STOP")
LOGGED = re.compile(r"\[(?:INFO|WARN|ERROR|FATAL)\] \[(\d+\.\d+)[^\]]*\]: (.*)")
Line = Tuple[float, str, str]  # monotonic seconds, who, what


def account(ledger: Ledger, window: Window, at_s: float, log: Path, wall_ahead_s: float) -> List[str]:
    """The lines, in the order of time, each with its seconds since the cause.

    Args:
        at_s: The moment, on the monotonic clock.
        log: The robot's nodes' output; need not exist.
        wall_ahead_s: The robot's wall clock less the monotonic clock.
    """
    seen = [*_words("guard hears", ledger.words, ledger), *_words("witness hears", ledger.own_words, ledger),
            *_pictures(ledger), *_wheels(ledger), *_said(log, wall_ahead_s)]  # fmt: skip
    near = sorted(line for line in seen if at_s - BEFORE_S <= line[0] <= at_s + AFTER_S)
    return [f"{mono_s - window.begun_s:+9.3f} s  {who:<13}  {what}" for mono_s, who, what in near[:MOST]]


def _words(who: str, words: List[Word], ledger: Ledger) -> Iterator[Line]:
    sent = {picture.stamp_ns: picture.mono_s for picture in list(ledger.pictures)}
    for word in list(words):
        level = LEVELS[word.level] if word.level < len(LEVELS) else f"level {word.level}"
        age = f"a picture {word.mono_s - sent[word.stamp_ns]:.3f} s old" if word.stamp_ns in sent else "no picture"
        yield word.mono_s, who, f"{level} of {age}" + (f" ({word.reason})" if word.level not in (1, 2) else "")


def _pictures(ledger: Ledger) -> Iterator[Line]:
    for picture in list(ledger.pictures):
        if not picture.honest:
            yield picture.mono_s, "camera", "a bent picture"


def _wheels(ledger: Ledger) -> Iterator[Line]:
    """Where they change."""
    before = None
    for command in list(ledger.commands):
        if command.turning != before:
            yield command.mono_s, "wheels", "turn" if command.turning else "stand"
        before = command.turning


def _said(log: Path, wall_ahead_s: float) -> Iterator[Line]:
    if log.exists():
        for wall_s, text in LOGGED.findall(log.read_text(encoding="utf-8", errors="replace")):
            yield float(wall_s) - wall_ahead_s, "robot's log", text
