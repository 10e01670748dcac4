"""What an eyewitness saw during a fault, and what it amounts to: time to zero, time to recovery, forbidden motion.

Knows no ROS and reads no clock: whoever sees something writes it down with the monotonic time. Promise: a command
that turns the wheels is forbidden here unless an honest picture supports it, whatever the nodes themselves believe.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

SLACK_S = 0.05  # the witness itself may be held up by this much; with more the run is void
MAX_AGE_S = 0.40  # promise 1
HEED_S = 0.10  # a tick of the guard, 0.05 s, and SLACK_S: so long may a word of STOP or UNKNOWN need to show
LEAVE_FRAMES, LEAVE_S = 3, 0.299  # that leaving zero takes after such a word; the stamps are rounded
STEADY_S = 0.7  # turning for so long without a zero is driving
GOOD_LEVELS = (1, 2)  # CLEAR, SLOW


@dataclass(frozen=True)
class Picture:
    """A frame that the camera sent. honest: distinct, readable, and with its true stamp."""

    mono_s: float
    stamp_ns: int
    honest: bool


@dataclass(frozen=True)
class Word:
    """A verdict that was heard. reason: the protection's, for people."""

    mono_s: float
    level: int
    stamp_ns: int
    reason: str = ""


@dataclass(frozen=True)
class Command:
    """What the wheels were told; the latest rules for ever."""

    mono_s: float
    turning: bool


@dataclass(frozen=True)
class Motion:
    """A command that turned the wheels against promise 1, and why it was forbidden."""

    mono_s: float
    why: str


@dataclass
class Ledger:
    """All that was seen, each list in the order of time. Lists grow by single appends: any thread may write.

    words: As they reached the guard's machine. Over a network the guard has a connection of its own, which after a
        cut may be back sooner or later than another's: there they are read from the guard's own packets.
    own_words: Over a network, what the witness heard by its own connection; nothing is judged by them.
    """

    pictures: List[Picture] = field(default_factory=list)
    words: List[Word] = field(default_factory=list)
    commands: List[Command] = field(default_factory=list)
    own_words: List[Word] = field(default_factory=list)

    def clear(self) -> None:
        """Forgets: before each run."""
        for seen in (self.pictures, self.words, self.commands, self.own_words):
            seen.clear()

    @property
    def turning(self) -> bool:
        """Whether the command in force moves anything."""
        return bool(self.commands) and self.commands[-1].turning

    def steady_since(self, after_s: float) -> Optional[float]:
        """When the wheels began to turn for STEADY_S without a zero, not before after_s; None: not yet."""
        since: Optional[float] = None
        for command in list(self.commands):
            if command.mono_s < after_s:
                continue
            if not command.turning:
                since = None
            elif since is None:
                since = command.mono_s
            elif command.mono_s - since >= STEADY_S:
                return since
        return None


@dataclass(frozen=True)
class Window:
    """A fault in time, on the monotonic clock. A blow begins and ends at once.

    lies: what the model answers about pictures of this window is no evidence.
    """

    begun_s: float
    ended_s: float
    lies: bool = False

    @property
    def blow(self) -> bool:
        """Whether the cause was over as it came."""
        return self.ended_s == self.begun_s


def stop_s(ledger: Ledger, window: Window, limit_s: float) -> Optional[float]:
    """From the cause to the zero command that lasted until the cause's end; None: the wheels turned at the end.

    After a blow: to the first zero within limit_s.
    """
    until_s = window.begun_s + limit_s if window.blow else window.ended_s
    zero_s: Optional[float] = None
    for command in ledger.commands:
        if not window.begun_s <= command.mono_s <= until_s:
            continue
        if command.turning:
            zero_s = None
        elif zero_s is None:
            zero_s = command.mono_s
            if window.blow:
                break
    return None if zero_s is None else zero_s - window.begun_s


def halted_s(ledger: Ledger, window: Window) -> Optional[float]:
    """When the wheels were first told to stand between the cause and half a second after its end; None: never."""
    span = (window.begun_s, window.ended_s + 0.5)
    zeros = (command.mono_s for command in ledger.commands if not command.turning)
    return next((mono_s for mono_s in zeros if _within(mono_s, span)), None)


def recovery_s(ledger: Ledger, window: Window, stopped_s: Optional[float]) -> Optional[float]:
    """From the cause's end to steady driving, 0 when the wheels never stopped; None: not seen to drive again."""
    back_s = ledger.steady_since(window.ended_s + (stopped_s or 0.0 if window.blow else 0.0))
    return None if back_s is None else (back_s - window.ended_s if stopped_s is not None else 0.0)


def forbidden(ledger: Ledger, window: Window) -> List[Motion]:
    """Every command since the cause that turned the wheels against promise 1."""
    sent: Dict[int, Picture] = {picture.stamp_ns: picture for picture in ledger.pictures}
    found = []
    for command in ledger.commands:
        if command.turning and command.mono_s > window.begun_s + HEED_S:
            fault = _fault(command.mono_s, sent, ledger, window)
            if fault:
                found.append(Motion(command.mono_s, fault))
    return found


def _fault(at_s: float, sent: Dict[int, Picture], ledger: Ledger, window: Window) -> str:
    heard = [word for word in ledger.words if at_s - 2.0 <= word.mono_s <= at_s + SLACK_S]
    if not _left_properly(at_s, heard):
        return "a word of STOP or UNKNOWN was not heeded"
    ages = [_age(at_s, word, sent, window) for word in heard if word.level in GOOD_LEVELS]
    real = [age for age in ages if age is not None and age >= 0]
    if not real:
        return "no honest picture was ever called CLEAR or SLOW"
    return "" if min(real) <= MAX_AGE_S + SLACK_S else f"the newest judged picture was {min(real):.3f} s old"


def _left_properly(at_s: float, heard: List[Word]) -> bool:
    """Whether three frames that span LEAVE_S were called good since the last word that was not."""
    bad_s = max((word.mono_s for word in heard if word.level not in GOOD_LEVELS and word.mono_s < at_s - HEED_S),
                default=None)  # fmt: skip
    if bad_s is None:
        return True
    since = {word.stamp_ns for word in heard if word.mono_s > bad_s and word.level in GOOD_LEVELS}
    return len(since) >= LEAVE_FRAMES and max(since) - min(since) >= LEAVE_S * 1e9


def _age(at_s: float, word: Word, sent: Dict[int, Picture], window: Window) -> Optional[float]:
    """How old the judged picture is; None when it is no evidence."""
    picture = sent.get(word.stamp_ns)
    if picture is None or not picture.honest:
        return None
    lied = window.lies and _within(picture.mono_s, (window.begun_s + 0.01, window.ended_s - 0.3))
    return None if lied else at_s - picture.mono_s


def _within(value: float, bounds: Tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
