"""duck_protection_node: camera frames in, verdicts about the road ahead out. Runs beside the model.

Promise: a verdict is published when it is made; a steady tick in between repeats it while its frame is young
enough, and otherwise says UNKNOWN and why. Whatever comes in, the node goes on; a bug of ours ends it, so that it
is started again.

    Configuration: config/duck_protection_node.yaml, each key with unit, range and reason
    Subscriber:
        ~image/compressed (sensor_msgs/CompressedImage), or with ~raw: ~image (sensor_msgs/Image); never both, for
        one camera's two topics would take turns in looking like repeated and out-of-order frames
    Publisher:
        ~verdict (DuckVerdict): at once, and at least at ~tick_hz
        ~debug/image/compressed (sensor_msgs/CompressedImage): while somebody looks
        ~seen/image/compressed (sensor_msgs/CompressedImage): the camera's pictures again, while somebody looks, so that
        they cross the network once; not with ~raw
        /diagnostics (diagnostic_msgs/DiagnosticArray)
    Service: ~check (CheckRoad), ~ask (AskCamera); client of ~infer (InferImage)
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, Union

import rospkg
import rospy
import yaml
from sensor_msgs.msg import CompressedImage, Image

from duck_protection.evidence import Bounds, Evidence
from duck_protection.msg import DuckVerdict
from duck_protection.nodes import messages
from duck_protection.nodes.asking import Asker
from duck_protection.nodes.debug_picture import DebugPicture
from duck_protection.nodes.judging import Court, Judging
from duck_protection.nodes.links import LinkWatch
from duck_protection.nodes.messages import Frame
from duck_protection.nodes.people import AskDesk, CheckDesk, Manners
from duck_protection.nodes.protection_diagnostics import Diagnostics
from duck_protection.nodes.ros_node import every, run_node
from duck_protection.nodes.seen_picture import SeenPicture
from duck_protection.nodes.speaking import Voice
from duck_protection.question import Question, questions_from
from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from
from duck_protection.slot import Slot
from duck_protection.tally import Tally
from duck_protection.thresholds import ThresholdBook, book_from
from duck_protection.watch import Patience, Watch

BUFFER_BYTES = 2**24  # with less, old frames wait in the socket: up to 8 s were measured behind a slow reader


@dataclass(frozen=True)
class Settings:
    """The node's settings; reasons stand in config/duck_protection_node.yaml."""

    question: str = "road"
    questions: str = ""
    thresholds: str = ""
    allow_uncalibrated: bool = False
    raw: bool = False
    max_age_s: float = 0.40
    deadline_s: float = 0.25
    silence_s: float = 0.30
    tick_hz: float = 10.0
    max_offset_s: float = 2.0
    jump_s: float = 0.10
    check_deadline_s: float = 2.0
    ask_deadline_s: float = 30.0
    ask_tokens: int = 64
    debug_hz: float = 5.0

    RANGES: ClassVar[RangeTable] = {
        "max_age_s": (0.05, 5.0),
        "deadline_s": (0.02, 5.0),
        "silence_s": (0.1, 5.0),
        "tick_hz": (5.0, 50.0),
        "max_offset_s": (0.0, 86400.0),
        "jump_s": (0.01, 10.0),
        "check_deadline_s": (0.1, 60.0),
        "ask_deadline_s": (0.1, 600.0),
        "ask_tokens": (1, 1024),
        "debug_hz": (0.1, 30.0),
    }

    def __post_init__(self) -> None:
        check_ranges(self)


class DuckProtectionNode:
    """Connects the parts. The camera's callback only stores the newest frame; one thread judges."""

    def __init__(self, settings: Settings, questions: Dict[str, Question], book: ThresholdBook) -> None:
        question = questions[settings.question]
        court = Court(book, settings.allow_uncalibrated)
        self._frames: Slot[Frame] = Slot()
        self._tally = Tally()
        self._watch: Watch[DuckVerdict] = Watch(
            Patience(settings.max_age_s, settings.silence_s, settings.deadline_s)
        )
        self._voice = Voice(self._watch, self._tally, question.key)
        judging = Judging(
            self._frames,
            Evidence(Bounds(settings.max_age_s, settings.max_offset_s, settings.jump_s)),
            Asker(),
            court,
            question,
            settings.deadline_s,
            self._watch,
            self._tally,
            self._voice,
            DebugPicture(question, settings.debug_hz).show,
        )
        self._worker = threading.Thread(target=judging.run, name="judging", daemon=True)
        manners = Manners(
            settings.silence_s, settings.check_deadline_s, settings.ask_deadline_s, settings.ask_tokens
        )
        CheckDesk(self._frames, court, questions, question, manners)
        AskDesk(self._frames, manners)
        Diagnostics(self._frames, self._voice, self._tally)
        self._seen = SeenPicture(settings.raw)
        self._worker.start()
        self._listen(settings.raw)

    def tick(self) -> None:
        """The steady word."""
        self._voice.tick()
        if not self._worker.is_alive():
            raise RuntimeError("the judging thread has ended: a bug, its traceback is above")

    def _listen(self, raw: bool) -> None:
        if raw:
            messages.cv_bridge()  # OpenCV takes its time to come; before the first frame, not with it
        topic, kind = ("~image", Image) if raw else ("~image/compressed", CompressedImage)
        camera = rospy.Subscriber(topic, kind, self._store, queue_size=1, buff_size=BUFFER_BYTES, tcp_nodelay=True)
        LinkWatch(camera).start()

    def _store(self, message: Union[CompressedImage, Image]) -> None:
        frame = messages.frame_from(message, rospy.get_time(), time.monotonic())
        self._watch.came(frame.arrival.mono_s)
        self._tally.note("frame", frame.arrival.mono_s)
        self._frames.put(frame)  # it wakes the worker, who then waits for this thread only while somebody looks
        self._seen.show(frame)


def loaded(path: str, standard: str) -> Any:
    """The content of a YAML file; of the package's own when no path is set.

    Raises:
        SettingsError: no such file, or no YAML. Do not start.
    """
    file = Path(path) if path else Path(rospkg.RosPack().get_path("duck_protection")) / "config" / standard
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise SettingsError(f"{standard}: cannot be read: {err}") from err


def start(parameters: Dict[str, Any]) -> None:
    """Runs the node until the end; refuses bad settings before anything is published."""
    settings = settings_from(Settings, parameters)
    try:
        questions = questions_from(loaded(settings.questions, "questions.yaml") or {})
        book = book_from(loaded(settings.thresholds, "thresholds.yaml") or [])
    except ValueError as err:
        raise SettingsError(str(err)) from err
    if settings.question not in questions:
        raise SettingsError(f"question must be one of {', '.join(sorted(questions))}, is {settings.question!r}")
    node = DuckProtectionNode(settings, questions, book)
    rospy.loginfo("asking %s of every frame", questions[settings.question].key)
    every(1 / settings.tick_hz, node.tick)


def main() -> None:
    """The executable."""
    run_node("duck_protection_node", start)
