"""Records a drive: video, timeline, numbers, and one live line in the terminal.

Waits until the model is ready, a frame has come and a verdict was made; records for ~seconds; then writes
demo.mp4, demo.png and demo.json into ~out, prints the summary and ends: exit code 0, or 1 when a duck was hit, when
nothing was judged, or when something fell silent. Commands nothing: whatever happens here, the wheels do not notice.

    Configuration:
        ~seconds: how long to record after everything is ready; 0: until the node is told to end
        ~out: folder for the files; ~title: text in the timeline's corner; ~rate_hz: the video's
        ~wait_s: give up when not everything is ready by then
        ~questions: path of a questions.yaml, for the bars' colours; empty: the package's own
    Subscriber:
        ~image/compressed (sensor_msgs/CompressedImage), ~verdict (DuckVerdict), ~truth (TownTruth),
        ~status (std_msgs/String): of the model
"""
from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Optional

import rospy
from rich.console import Console
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from duck_protection.msg import DuckVerdict, TownTruth
from duck_protection.nodes.duck_protection_node import loaded
from duck_protection.nodes.ros_node import run_node
from duck_protection.nodes.town_messages import heard_from, moment_from
from duck_protection.question import questions_from
from duck_protection.recording import results, timeline
from duck_protection.recording.live import LiveLine, Status, minutes, shown
from duck_protection.recording.recorder import Recorder
from duck_protection.recording.report import report, troubles_of
from duck_protection.recording.summary import summarise
from duck_protection.settings import RangeTable, check_ranges, settings_from
from duck_protection.verdict import Level

LOOK_HZ = 10.0
SILENCE_S = 10.0  # without a frame while recording: the simulator is gone
BUFFER_BYTES = 2**24


@dataclass(frozen=True)
class Settings:
    """What can be set, see above."""

    seconds: float = 60.0
    out: str = "out"
    title: str = ""
    questions: str = ""
    rate_hz: float = 20.0
    wait_s: float = 240.0

    RANGES: ClassVar[RangeTable] = {"seconds": (0.0, 86400.0), "rate_hz": (1.0, 60.0), "wait_s": (1.0, 3600.0)}

    def __post_init__(self) -> None:
        check_ranges(self)


class RecorderNode:
    """Callbacks hand over and return; the main thread shows and decides when it is over."""

    def __init__(self, settings: Settings, levels: Dict[str, Level]) -> None:
        self._settings = settings
        self._out = Path(settings.out).expanduser().resolve()
        self._out.mkdir(parents=True, exist_ok=True)
        self._recorder = Recorder(self._out / "demo.mp4", settings.rate_hz, levels)
        self._levels = levels
        self._recording = False
        self._model = ""
        self._frame_mono_s: Optional[float] = None
        self._heard_verdict = False
        rospy.Subscriber("~status", String, self._on_status)
        rospy.Subscriber("~verdict", DuckVerdict, self._on_verdict, queue_size=50)
        rospy.Subscriber("~truth", TownTruth, self._on_truth, queue_size=50)
        rospy.Subscriber("~image/compressed", CompressedImage, self._on_frame, queue_size=20, buff_size=BUFFER_BYTES)

    def run(self) -> int:
        """The whole of it; the process's exit code."""
        with LiveLine() as live:
            trouble = self._wait(live)
            if not trouble:
                self._recording = True
                trouble = self._record(live)
            self._recording = False
            self._drain(live)
        return self._finish([trouble] if trouble else [])

    def _on_status(self, message: String) -> None:
        self._model = message.data

    def _on_frame(self, message: CompressedImage) -> None:
        self._frame_mono_s = time.monotonic()
        if self._recording:
            self._recorder.frame(bytes(message.data), message.header.stamp.to_sec())

    def _on_verdict(self, message: DuckVerdict) -> None:
        heard = heard_from(message, rospy.get_time())
        self._heard_verdict = self._heard_verdict or heard.judged
        if self._recording:
            self._recorder.verdict(heard)

    def _on_truth(self, message: TownTruth) -> None:
        if self._recording:
            self._recorder.truth(moment_from(message))

    def _wait(self, live: LiveLine) -> str:
        """Until everything is ready; returns what is wrong, or an empty string."""
        start_s = time.monotonic()
        while not rospy.is_shutdown():
            missing = self._missing()
            if not missing:
                return ""
            if self._model.startswith(("failed", "out of memory")):
                return f"the model: {self._model}"
            waited_s = time.monotonic() - start_s
            if waited_s > self._settings.wait_s:
                return f"not ready after {self._settings.wait_s:.0f} s: {missing}"
            live.wait(missing, waited_s)
            time.sleep(1 / LOOK_HZ)
        return "ended before everything was ready"

    def _missing(self) -> str:
        if self._frame_mono_s is None:
            return "starting the simulated town"
        if not self._model.startswith("ready"):
            return f"loading the model ({self._model or 'starting'})"
        return "" if self._heard_verdict else "waiting for the first verdict"

    def _record(self, live: LiveLine) -> str:
        start_s, seconds = time.monotonic(), self._settings.seconds
        while not rospy.is_shutdown():
            now_s = time.monotonic()
            if seconds and now_s - start_s >= seconds:
                return ""
            if now_s - (self._frame_mono_s or start_s) > SILENCE_S:
                return f"no frame for {SILENCE_S:.0f} s"
            live.show(self._status(now_s - start_s), now_s)
            time.sleep(1 / LOOK_HZ)
        return "ended early" if seconds else ""

    def _status(self, elapsed_s: float) -> Status:
        seconds, now_s = self._settings.seconds, rospy.get_time()
        force = self._recorder.in_force(now_s)
        done = elapsed_s / seconds if seconds else None
        left = f"{minutes(seconds - elapsed_s)} left" if seconds else minutes(elapsed_s)
        shares = zip(force.heard.choices, force.heard.probabilities) if force.heard else ()
        sure = [share for word, share in shares if self._levels.get(word) is force.level]
        rate_hz, met, hit = self._recorder.judged_per_s(now_s), *self._recorder.ducks()
        return Status(done, left, force.level, sum(sure) if sure else None, force.age_s, rate_hz,
                      f"{met} {'duck' if met == 1 else 'ducks'} met, {hit} hit")  # fmt: skip

    def _drain(self, live: LiveLine) -> None:
        start_s = time.monotonic()
        while self._recorder.waiting and not rospy.is_shutdown():
            live.wait(f"writing the video, {self._recorder.waiting} pictures to go", time.monotonic() - start_s)
            time.sleep(1 / LOOK_HZ)
        self._recorder.close()

    def _finish(self, troubles: List[str]) -> int:
        summary = summarise(self._recorder.drive)
        files = f"{shown(self._out / 'demo.mp4')}, .png, .json"
        timeline.write(self._out / "demo.png", self._recorder.drive, summary, self._settings.title)
        troubles += troubles_of(summary)
        model = self._model.split(": ", 1)[-1]  # of "ready: NAME"
        keys: Dict[str, Any] = {"title": self._settings.title, "model": model, **asdict(summary)}
        keys.update(troubles=troubles, frames_not_in_video=self._recorder.left_out)
        results.write_json(self._out / "demo.json", results.envelope("demo/1", **keys))
        Console(highlight=False).print(report(summary, files, troubles))
        return 1 if troubles else 0


def start(parameters: Dict[str, Any]) -> None:
    """Records with these private parameters and ends the process."""
    os.nice(5)  # whoever records must not slow what is recorded
    settings = settings_from(Settings, parameters)
    questions = questions_from(loaded(settings.questions, "questions.yaml"))
    levels = {choice.word: choice.level for question in questions.values() for choice in question.choices}
    sys.exit(RecorderNode(settings, levels).run())


def main() -> None:
    """The executable."""
    run_node("recorder_node", start)

