"""What was recorded of one robot, and the films of what happened in it.

Answers: which picture, which verdict was there around a moment? Reads no bag: nodes/bag_story.py does. Promise: a clip
shows each picture with the verdict that was in force on it, drawn as in every other film of ours.
"""
from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from duck_protection.dashboard.events import Event, EventWatch, Kind
from duck_protection.dashboard.robot import whole_ms
from duck_protection.recording.drive import Drive
from duck_protection.recording.recorder import Recorder
from duck_protection.verdict import Level

CLIP_HZ = 15.0
LOOK_S = 0.05


@dataclass
class Story:
    """One robot's recording, each list in the order of its times (wall clock of whoever recorded, s)."""

    robot: str
    drive: Drive = field(default_factory=Drive)
    pictures: List[Tuple[float, bytes]] = field(default_factory=list)
    commands: List[Tuple[float, float]] = field(default_factory=list)  # (when, m/s)
    hits: List[Tuple[float, int]] = field(default_factory=list)  # (when, how many so far)
    first_s: Optional[float] = None
    last_s: float = 0.0

    def came(self, at_s: float) -> None:
        """Something came at this time."""
        self.first_s = at_s if self.first_s is None else min(self.first_s, at_s)
        self.last_s = max(self.last_s, at_s)

    def events(self) -> List[Event]:
        """What happened, in order; a recording without any event is one itself."""
        if self.first_s is None:
            return []
        found, watch = [], EventWatch()
        for look in range(int((self.last_s - self.first_s) / LOOK_S) + 2):
            at_s = self.first_s + look * LOOK_S
            found += watch.look(self.drive.in_force(at_s), int(_last(self.hits, at_s) or 0), at_s)
        if found:
            return found
        reason = "nothing happened" if self.drive.verdicts else "no verdict was recorded"
        return [Event(self.first_s, Kind.RECORDING, f"recording: {reason}")]

    @property
    def choices(self) -> Tuple[str, ...]:
        """The words offered in the last verdict that offered some."""
        return next((heard.choices for heard in reversed(self.drive.verdicts) if heard.choices), ())

    def picture_at(self, at_s: float) -> Optional[bytes]:
        """The last picture that had come, or the first that did."""
        index = bisect.bisect_right([when for when, _ in self.pictures], at_s)
        return self.pictures[max(0, index - 1)][1] if self.pictures else None

    def command_at(self, at_s: float) -> Optional[float]:
        """The last commanded speed, m/s."""
        return _last(self.commands, at_s)

    def samples(self, most: int = 2000) -> List[Dict[str, Any]]:
        """The whole recording for the page's timelines, as Robot.sample() gives them, evenly spaced."""
        if self.first_s is None:
            return []
        step_s = max(LOOK_S, (self.last_s - self.first_s) / most)
        return [self._sample(self.first_s + k * step_s) for k in range(int((self.last_s - self.first_s) / step_s) + 1)]

    def _sample(self, at_s: float) -> Dict[str, Any]:
        force = self.drive.in_force(at_s)
        shares = force.heard.probabilities if force.heard else ()
        return {"t": at_s, "level": int(force.level), "p": [round(share, 4) for share in shares],
                "age": whole_ms(force.age_s), "late": None,
                "permitted": self.command_at(at_s), "asked": None}  # fmt: skip


def write_frame(path: Path, story: Story, at_s: float) -> None:
    """The picture of that moment, as it came; nothing when there is none."""
    picture = story.picture_at(at_s)
    if picture:
        path.write_bytes(picture)


def write_clip(path: Path, story: Story, levels: Mapping[str, Level]) -> int:
    """The film of all the story's pictures; how many there were. Without any there is no file."""
    if not story.pictures:
        return 0
    partial = path.with_name(f".partial-{path.name}")
    recorder = Recorder(partial, CLIP_HZ, dict(levels))
    for at_s, jpeg in story.pictures:
        v_mps = story.command_at(at_s)
        speed = "" if v_mps is None else f"command {v_mps:.2f} m/s   ·   "
        recorder.frame(jpeg, at_s, story.drive.in_force(at_s), f"{speed}{story.robot}")
    recorder.close()
    partial.replace(path)  # whoever looks sees a whole film or none
    return len(story.pictures)


def _last(series: List[Tuple[float, float]], at_s: float) -> Optional[float]:
    index = bisect.bisect_right(series, (at_s, float("inf")))
    return series[index - 1][1] if index else None
