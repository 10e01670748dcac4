"""Plays a folder of pictures or a rosbag through the same pipeline as a camera would, one picture at a time.

Each picture is published as a camera frame stamped now; the next comes when its verdict has come, or when ~deadline_s
is over. Promise: every picture is judged at most once and written down exactly once, with the reason where there is
no verdict; the node ends by itself, exit code 0 when at least one picture was judged.

    Configuration:
        ~source: a folder of JPEG, PNG or PPM pictures, or a .bag file; ~topic: the bag's image topic, if it has several
        ~out: folder for replay.mp4 and replay.csv; ~rate_hz: at most so many pictures a second
        ~video_rate_hz: of the video, one picture after the other
        ~deadline_s: for one verdict; ~wait_s: for the model to be ready; ~questions: path, as duck_protection_node's
    Publisher:
        camera_node/image/compressed
    Subscriber:
        ~verdict (DuckVerdict), ~status (std_msgs/String): of the model
"""
from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional

import rospy
from rich.console import Console
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from duck_protection.msg import DuckVerdict
from duck_protection.nodes import town_messages
from duck_protection.nodes.bags import pictures_of_bag
from duck_protection.nodes.duck_protection_node import loaded
from duck_protection.nodes.ros_node import run_node
from duck_protection.question import questions_from
from duck_protection.recording.drive import Heard, InForce
from duck_protection.recording.live import LiveLine, Status, shown
from duck_protection.recording.recorder import Recorder
from duck_protection.recording.replay import Line, Picture, Source, VerdictTable, pictures_in, report
from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from
from duck_protection.verdict import Level

LOOK_HZ = 10.0


@dataclass(frozen=True)
class Settings:
    """What can be set, see above."""

    source: str = ""
    out: str = "out"
    topic: str = ""
    questions: str = ""
    rate_hz: float = 10.0
    video_rate_hz: float = 2.0
    deadline_s: float = 10.0
    wait_s: float = 240.0

    RANGES: ClassVar[RangeTable] = {
        "rate_hz": (0.01, 60.0),
        "video_rate_hz": (0.1, 60.0),
        "deadline_s": (0.1, 600.0),
        "wait_s": (1.0, 3600.0),
    }

    def __post_init__(self) -> None:
        check_ranges(self)


class ReplayNode:
    """The main thread publishes and waits; callbacks only hand over."""

    def __init__(self, settings: Settings, levels: Dict[str, Level]) -> None:
        self._settings = settings
        self._source = _source(settings)
        self._out = Path(settings.out).expanduser().resolve()
        self._out.mkdir(parents=True, exist_ok=True)
        self._recorder = Recorder(self._out / "replay.mp4", settings.video_rate_hz, levels)
        self._table = VerdictTable(self._out / "replay.csv", list(levels))
        self._came = threading.Condition()
        self._verdict: Optional[DuckVerdict] = None
        self._heard_s = 0.0
        self._model = ""
        self._camera = rospy.Publisher("camera_node/image/compressed", CompressedImage, queue_size=1)
        rospy.Subscriber("~status", String, self._on_status)
        rospy.Subscriber("~verdict", DuckVerdict, self._on_verdict, queue_size=50)

    def run(self) -> int:
        """Everything; the process's exit code."""
        start_s = time.monotonic()
        with LiveLine() as live, self._table:
            trouble = self._wait(live)
            if not trouble:
                start_s = time.monotonic()
                self._play(live)
            self._recorder.close()
        lines, files = self._table.lines, f"{shown(self._out / 'replay.mp4')}, .csv"
        Console(highlight=False).print(trouble or report(lines, time.monotonic() - start_s, files))
        return 0 if any(line.probabilities for line in lines) else 1

    def _on_status(self, message: String) -> None:
        self._model = message.data

    def _on_verdict(self, message: DuckVerdict) -> None:
        with self._came:
            self._verdict, self._heard_s = message, rospy.get_time()
            self._came.notify_all()

    def _wait(self, live: LiveLine) -> str:
        """Until the pipeline listens; what is wrong, or an empty string."""
        start_s = time.monotonic()
        while not rospy.is_shutdown():
            listening = self._camera.get_num_connections() > 0 and self._verdict is not None
            if self._model.startswith("ready") and listening:
                return ""
            waited_s = time.monotonic() - start_s
            if waited_s > self._settings.wait_s or self._model.startswith(("failed", "out of memory")):
                return f"not ready after {waited_s:.0f} s: the model says {self._model or 'nothing'!r}"
            live.wait(f"loading the model ({self._model or 'starting'})", waited_s)
            time.sleep(1 / LOOK_HZ)
        return "ended before everything was ready"

    def _play(self, live: LiveLine) -> None:
        for number, picture in enumerate(self._source.pictures):
            if rospy.is_shutdown():
                return
            due_s = time.monotonic() + 1 / self._settings.rate_hz
            stamp = rospy.Time.now()
            heard_s, verdict = self._judged(picture, stamp)
            line = _line(picture.name, stamp.to_sec(), heard_s, verdict)
            self._table.add(line)
            self._record(number, picture, line, verdict)
            live.show(self._status(number, line), time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _judged(self, picture: Picture, stamp: rospy.Time) -> tuple[float, DuckVerdict]:
        """Shows one picture to the pipeline; its verdict, or the last word said when the deadline is over."""
        self._camera.publish(town_messages.image_message(picture.data, stamp, "replay", picture.kind))
        with self._came:
            self._came.wait_for(lambda: self._about(stamp) or rospy.is_shutdown(), self._settings.deadline_s)
            if self._verdict is not None and self._about(stamp):
                return self._heard_s, self._verdict
            said = self._verdict.reason if self._verdict is not None and not self._verdict.level else ""
        return rospy.get_time(), DuckVerdict(reason=said or f"silence: no verdict in {self._settings.deadline_s:g} s")

    def _about(self, stamp: rospy.Time) -> bool:
        return self._verdict is not None and self._verdict.header.stamp == stamp

    def _record(self, number: int, picture: Picture, line: Line, verdict: DuckVerdict) -> None:
        heard = Heard(line.stamp_s, line.stamp_s, line.level, line.reason, tuple(verdict.choices), line.probabilities)
        age_s = None if line.age_ms is None else line.age_ms / 1e3
        force = InForce(line.level, line.reason, age_s, heard)
        self._recorder.frame(picture.data, number / self._settings.video_rate_hz, force, picture.name)

    def _status(self, number: int, line: Line) -> Status:
        sure = max(line.probabilities) if line.probabilities else None
        age_s = None if line.age_ms is None else line.age_ms / 1e3
        count = self._source.count
        return Status((number + 1) / count, f"{number + 1} of {count}", line.level, sure, age_s, None, line.name)


def _source(settings: Settings) -> Source:
    source = Path(settings.source).expanduser()
    if not settings.source:
        raise SettingsError("source must be a folder of pictures or a .bag file, is ''")
    try:
        return pictures_of_bag(source, settings.topic) if source.suffix == ".bag" else pictures_in(source)
    except ValueError as err:
        raise SettingsError(f"source: {err}") from err


def _line(name: str, stamp_s: float, heard_s: float, verdict: DuckVerdict) -> Line:
    heard = town_messages.heard_from(verdict, heard_s)
    about_it, read = bool(verdict.header.stamp), bool(heard.probabilities)
    return Line(
        name=name,
        stamp_s=stamp_s,
        level=heard.level if about_it else Level.UNKNOWN,
        probabilities=heard.probabilities if about_it else (),
        off_mass=verdict.off_mass if read else None,
        reason=heard.reason,
        age_ms=verdict.age_ms if about_it else None,
        decode_ms=verdict.decode_ms if read else None,
        wait_ms=verdict.wait_ms if read else None,
        infer_ms=verdict.infer_ms if read else None,
        frame_to_verdict_ms=1e3 * (heard_s - stamp_s) if about_it else None,
    )


def start(parameters: Dict[str, Any]) -> None:
    """Replays with these private parameters and ends the process."""
    settings = settings_from(Settings, parameters)
    questions = questions_from(loaded(settings.questions, "questions.yaml"))
    levels = {choice.word: choice.level for question in questions.values() for choice in question.choices}
    sys.exit(ReplayNode(settings, levels).run())


def main() -> None:
    """The executable."""
    run_node("replay_node", start)

