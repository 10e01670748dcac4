"""The shipped fake: a Vlm that says what a script says. For tests, demos without torch, and drills.

A script is a list of lines; each request takes the next, and the last one repeats:

    - {probabilities: {Clear: 0.97, Slow: 0.02, Stop: 0.01}, delay_s: 0.02}
    - {probabilities: {Stop: 1.0}, off_mass: 0.3, text: "A duck!"}   # text: what generate() says, a word at a time
    - {error: MemoryFullError, text: "out of memory"}                # any error of base.py, by name
    - nan                                                            # a broken model: every number is NaN
    - hang                                                           # answers never, until release() is called

Promise: the same script gives the same replies; nothing is random, and time passes only where a line says so.
"""
from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Sequence, Tuple, Type

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply
from duck_protection.vlm import base

ERRORS = {
    kind.__name__: kind
    for kind in (
        base.LoadError, base.ChoiceError, base.LateError, base.BusyError, base.NotReadyError, base.MemoryFullError,
        base.AnswerError, base.DeviceLostError,
    )
}  # fmt: skip
KEYS = {"probabilities", "off_mass", "delay_s", "text", "error"}
REMEMBERED = 1000  # batches: a node that runs for days must not grow


@dataclass(frozen=True)
class Line:
    """What to do on one request.

    Args:
        probabilities: By word; what the question does not offer goes to off_mass, and the rest is scaled to 1.
        error: Raised instead of an answer, with text as its message.
        hang: Wait for ScriptedVlm.release() first.
    """

    probabilities: Mapping[str, float] = field(default_factory=dict)
    off_mass: float = 0.0
    delay_s: float = 0.0
    text: str = ""
    error: Type[base.VlmError] = base.VlmError  # VlmError itself: none
    hang: bool = False


def lines_from(content: Iterable[Any]) -> List[Line]:
    """A script, from the content of a YAML file.

    Raises:
        ValueError: A line cannot be understood, or there is none; the message names it. Do not start.
    """
    lines = [_line(number, entry) for number, entry in enumerate(content)]
    if not lines:
        raise ValueError("a script needs at least one line")
    return lines


def _line(number: int, entry: Any) -> Line:
    if entry == "hang":
        return Line(hang=True)
    if entry == "nan" or (isinstance(entry, float) and math.isnan(entry)):
        return Line(off_mass=math.nan)
    if not isinstance(entry, Mapping) or not set(entry) <= KEYS:
        raise ValueError(f"script line {number}: must be nan, hang or a mapping of {sorted(KEYS)}, is {entry!r}")
    try:
        kind = ERRORS[entry["error"]] if "error" in entry else base.VlmError
        masses = {str(word): float(mass) for word, mass in entry.get("probabilities", {}).items()}
        text, delay_s = str(entry.get("text", "")), float(entry.get("delay_s", 0.0))
        return Line(masses, float(entry.get("off_mass", 0.0)), delay_s, text, kind)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise ValueError(f"script line {number}: {entry!r} ({err})") from err


class ScriptedVlm:
    """Says what the script says, one line a request (a batch of three takes three lines)."""

    def __init__(self, lines: Sequence[Line], sleep: Callable[[float], None] = time.sleep) -> None:
        if not lines:
            raise ValueError("a script needs at least one line")
        self._lines, self._sleep = list(lines), sleep
        self._at = 0
        self._released = threading.Event()
        self.batches: List[int] = []  # sizes of the latest batches asked for

    @property
    def identity(self) -> Identity:
        """Always the same, so that a threshold record can be written for it."""
        return Identity("scripted", "0", "none", "scripted")

    def check_choices(self, words: Sequence[str]) -> None:
        """Any distinct non-empty words will do."""
        if not words or not all(words) or len(set(words)) != len(words):
            raise base.ChoiceError(f"choices must be distinct words, are {list(words)}")

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One scripted reply per pair; one error line fails the whole batch, as a real model would."""
        self.batches.append(len(frames))
        del self.batches[:-REMEMBERED]
        for question in questions:
            self.check_choices(question.words)
        return [self._reply(self._act(), question) for _, question in zip(frames, questions)]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """The line's text, a word at a time (the line's delay before each), or its likeliest word."""
        del frame, prompt
        line = self._next()
        likeliest = max(line.probabilities, key=lambda word: line.probabilities[word], default="")
        for piece in _words(line.text or likeliest)[:max_tokens] or ("",):  # an error or a hang needs no words
            self._wait(line)
            yield piece

    def release(self) -> None:
        """End every present and future hang."""
        self._released.set()

    def _act(self) -> Line:
        line = self._next()
        self._wait(line)
        return line

    def _next(self) -> Line:
        line = self._lines[min(self._at, len(self._lines) - 1)]
        self._at += 1
        return line

    def _wait(self, line: Line) -> None:
        if line.hang:
            self._released.wait()
        if line.delay_s > 0:
            self._sleep(line.delay_s)
        if line.error is not base.VlmError:
            raise line.error(line.text or "scripted")

    def _reply(self, line: Line, question: Question) -> Reply:
        masses = [line.probabilities.get(word, 0.0) for word in question.words]
        offered, said = sum(masses), sum(line.probabilities.values())
        if math.isnan(line.off_mass) or not offered > 0:
            return Reply((math.nan,) * len(masses), math.nan, line.text, self.identity)
        off_mass = min(1.0, line.off_mass + (1 - line.off_mass) * (1 - offered / said))
        best = question.words[int(np.argmax(masses))]
        return Reply(tuple(mass / offered for mass in masses), off_mass, line.text or best, self.identity)


def _words(text: str) -> Tuple[str, ...]:
    """The text in pieces that join to it again: each word with the space before it."""
    pieces = text.split(" ")
    return (pieces[0], *(f" {piece}" for piece in pieces[1:])) if text else ()
