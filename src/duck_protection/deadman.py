"""The second pair of eyes: when the governor's process falls silent, or its commands no longer reach the wheels,
somebody else must stop them.

The wheels driver keeps its last command for ever. Answers: must zeros be sent now, and is there something to say
about the emergency stop, a flag shared with the joystick? Reads no clock: monotonic times are passed in.
Promise: zeros from the start until the first heartbeat, in every silence of it, and when the wheels were last told to
turn longer ago than commands may be apart; an emergency stop set once per silence of the heartbeat and taken back when
it returns, but only if it is ours alone.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Optional


@dataclass(frozen=True)
class Orders:
    """What to publish now. emergency_stop: the flag to say, once; None: nothing. why: for people, while zero."""

    zero: bool
    emergency_stop: Optional[bool] = None
    why: str = field(default="", compare=False)


class Deadman:
    """Hears heartbeats and what others say about the emergency stop. One thread at a time: the caller locks.

    Zeros are sent at once, before the first heartbeat: a robot whose guard never started must stand. The flag
    waits for the first heartbeat: a watchdog that begins and remembers nothing cannot know whether a person has set
    it, and would take that person's stop back when the heartbeat comes.

    Args:
        wheels_silence_s: Between commands to turning wheels.
        remembered: `remembered` of the watchdog whose place this one takes.
    """

    def __init__(self, silence_s: float, wheels_silence_s: float = math.inf, remembered: str = "") -> None:
        self._silence_s, self._wheels_silence_s = silence_s, wheels_silence_s
        self._turned_mono_s = math.inf  # when the wheels were last told to turn; infinite: they were told to stand
        self._beat_mono_s = -math.inf
        self._armed = False  # by the first heartbeat
        self._told = False  # in this silence
        self._mine = remembered == "mine"
        self._theirs = remembered == "theirs"
        self._certain = not self._theirs  # a flag of others that is only remembered may have been cleared meanwhile

    @property
    def remembered(self) -> str:
        """Whose the flag is, while it is set: "mine", "theirs", or nothing. Must outlive this process."""
        return "theirs" if self._theirs else "mine" if self._mine else ""

    def beat(self, mono_s: float) -> None:
        """The governor's loop has run."""
        self._beat_mono_s = mono_s

    def wheels(self, turning: bool, mono_s: float) -> None:
        """Somebody else told the wheels to turn, or to stand."""
        self._turned_mono_s = mono_s if turning else math.inf

    def others_said(self, emergency_stop: bool) -> None:
        """Somebody else set or cleared the shared flag; clearing it clears ours too."""
        self._theirs, self._certain = emergency_stop, True
        self._mine = self._mine and emergency_stop

    def orders(self, mono_s: float) -> Orders:
        """What to do now; call it steadily, at the rate at which zeros shall go out."""
        if not mono_s - self._beat_mono_s <= self._silence_s:
            return Orders(True, self._set(), "heartbeat silent")
        self._armed, self._told = True, False
        cut_off = not mono_s - self._turned_mono_s <= self._wheels_silence_s
        return Orders(cut_off, self._take_back(), "no command to the turning wheels" if cut_off else "")

    def _set(self) -> Optional[bool]:
        if not self._armed or self._told:
            return None
        self._told = True
        if self._theirs and self._certain:
            return None  # it is set already, and not ours to take back
        self._mine = not self._theirs
        return True

    def _take_back(self) -> Optional[bool]:
        was_mine, self._mine = self._mine, False
        return False if was_mine and not self._theirs else None
