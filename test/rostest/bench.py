"""What the rostests of the model and the protection share: a camera to bend, an ear for verdicts, a fake model.

The pictures are noisy and never the same, as a camera's. All waiting is on the monotonic clock and ends.
"""
from __future__ import annotations

import io
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import rosgraph
import rospy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImageRequest, InferImageResponse
from PIL import Image
from sensor_msgs.msg import CompressedImage
from stall_guard import seconds_until
from std_msgs.msg import String

from duck_protection.nodes.master import FAILURES, proxy

_CONFIG = Path(__file__).resolve().parents[2] / "config"
QUESTIONS = sorted(yaml.safe_load((_CONFIG / "questions.yaml").read_text()))  # the names, as refusals list them

RATE_HZ = 30.0


def noisy_jpegs(count: int, size: Tuple[int, int] = (320, 240), noise: float = 12.0, quality: int = 80) -> List[bytes]:
    """So many different pictures of a road with sensor noise. size: (width, height)."""
    rng = np.random.default_rng(7)
    width, height = size
    blocks = rng.integers(0, 255, (height // 20, width // 20, 3))
    scene = np.kron(blocks, np.ones((20, 20, 1)))
    return [_jpeg(np.clip(scene + rng.normal(0, noise, scene.shape), 0, 255), quality) for _ in range(count)]


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(rgb.astype(np.uint8)).save(target, "JPEG", quality=quality)
    return target.getvalue()


class Camera:
    """Publishes pictures at 30 Hz from its own thread, each with `bend` applied; None from bend sends nothing."""

    def __init__(self, topic: str = "camera_node/image/compressed", rate_hz: float = RATE_HZ) -> None:
        self._publisher = rospy.Publisher(topic, CompressedImage, queue_size=1, tcp_nodelay=True)
        self._pictures = noisy_jpegs(20)
        self._period_s = 1 / rate_hz
        self.bend: Callable[[CompressedImage], Optional[CompressedImage]] = lambda message: message
        self.sent: List[Tuple[float, rospy.Time]] = []  # (monotonic, stamp)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not rospy.is_shutdown():
            message = self.bend(self._message())
            if message is not None:
                self.sent.append((time.monotonic(), message.header.stamp))
                self._send(message)
            due_s = max(due_s + self._period_s, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _send(self, message: CompressedImage) -> None:
        try:
            self._publisher.publish(message)
        except rospy.ROSException:
            if not rospy.is_shutdown():  # the topic closes before this thread ends
                raise

    def _message(self) -> CompressedImage:
        message = CompressedImage(format="jpeg", data=self._pictures[len(self.sent) % len(self._pictures)])
        message.header.stamp, message.header.frame_id = rospy.Time.now(), "/duckie/camera_optical_frame"
        return message


class Ear:
    """Hears verdicts, with the monotonic time of each."""

    def __init__(self, topic: str = "duck_protection_node/verdict") -> None:
        self._changed = threading.Condition()
        self.heard: List[Tuple[float, DuckVerdict]] = []
        rospy.Subscriber(topic, DuckVerdict, self._hear, tcp_nodelay=True)

    def _hear(self, verdict: DuckVerdict) -> None:
        with self._changed:
            self.heard.append((time.monotonic(), verdict))
            self._changed.notify_all()

    def wait(self, fits: Callable[[DuckVerdict], bool], limit_s: float, after_s: Optional[float] = None) -> Any:
        """(time, verdict) of the first that fits and was heard after after_s (default: now)."""
        begun_s = time.monotonic()
        after_s = begun_s if after_s is None else after_s
        looked = 0
        with self._changed:
            while True:
                for heard_s, verdict in self.heard[looked:]:
                    if heard_s >= after_s and fits(verdict):
                        return heard_s, verdict
                looked = len(self.heard)
                if not self._changed.wait(begun_s + limit_s - time.monotonic()):
                    last = self.heard[-1][1].reason if self.heard else "nothing"
                    raise AssertionError(f"not heard within {limit_s} s; last: {last!r}, {looked} in all")

    def since(self, after_s: float) -> List[DuckVerdict]:
        """All verdicts heard after that time."""
        with self._changed:
            return [verdict for heard_s, verdict in self.heard if heard_s >= after_s]


class Counters:
    """The counters in the protection's diagnostics, as last reported."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.values: dict = {}
        rospy.Subscriber("/diagnostics", DiagnosticArray, self._hear)

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith("verdict"):
                with self._changed:
                    self.values = {pair.key: pair.value for pair in status.values}
                    self._changed.notify_all()

    def fresh(self, limit_s: float = 5.0) -> dict:
        """The next report."""
        with self._changed:
            if not self._changed.wait(limit_s):
                raise AssertionError("no diagnostics")
            return dict(self.values)


def answer(request: InferImageRequest, **changes: Any) -> InferImageResponse:
    """What a good model says: clear, of whatever was asked. changes: fields to bend."""
    response = InferImageResponse(
        stamp=request.image.header.stamp, choices=list(request.choices), text="Clear", off_mass=0.01,
        model="fake", revision="1", dtype="none", backend="scripted", infer_ms=1.0,
    )  # fmt: skip
    response.probabilities = [0.98] + [0.02 / max(1, len(request.choices) - 1)] * (len(request.choices) - 1)
    for name, value in changes.items():
        setattr(response, name, value)
    return response


def pid_of(node: str) -> Optional[int]:
    """The process of a node, by its resolved name; None when there is none that answers."""
    try:
        uri = rosgraph.Master(rospy.get_name()).lookupNode(node)
        return int(proxy(uri).getPid(rospy.get_name())[2])
    except (rosgraph.MasterException, *FAILURES):
        return None


class Model:
    """The real vlm_node with a script, which a check may exchange: the node is killed and respawned."""

    NODE = "/duckie/vlm_node"

    def __init__(self) -> None:
        self.status: List[Tuple[float, str]] = []
        self._script = ""
        rospy.Subscriber(f"{self.NODE}/status", String, self._hear)
        seconds_until(lambda: self.ready_since(0.0), 20.0, "the model is ready")

    def _hear(self, message: String) -> None:
        self.status.append((time.monotonic(), message.data))

    def ready_since(self, after_s: float) -> bool:
        """Whether it became ready after that time."""
        return any(said_s >= after_s and text.startswith("ready: ") for said_s, text in self.status)

    def play(self, script: str) -> float:
        """Starts it again with scripts/NAME.yaml, at its first line; returns when the old one was killed."""
        before = pid_of(self.NODE)
        assert before is not None
        rospy.set_param(f"{self.NODE}/script", str(Path(__file__).resolve().parent / "scripts" / f"{script}.yaml"))
        killed_s = time.monotonic()
        os.kill(before, signal.SIGKILL)
        seconds_until(lambda: self.ready_since(killed_s), 10.0, f"the model is ready with {script}")
        self._script = script
        return killed_s

    def have(self, script: str) -> None:
        """Plays the script unless it is playing: for those that say the same for ever."""
        if self._script != script:
            self.play(script)
