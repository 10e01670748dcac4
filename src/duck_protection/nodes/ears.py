"""What the operator's page hears of one robot, and what the black box keeps of it.

Promise: each message goes into the ring as it came, pictures at most ring_hz times a second; a message of another type
than expected, or one that cannot be read, is left out and said once; verdicts and the guard's heartbeat, which are
never silent, are heard again at once after a network cut.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Set

import genpy
import rospy
from duckietown_msgs.msg import Twist2DStamped
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header, String

from duck_protection.dashboard.births import Births
from duck_protection.dashboard.events import Event, EventWatch
from duck_protection.dashboard.ring import Item, Ring
from duck_protection.dashboard.robot import Robot, Timing
from duck_protection.msg import DuckVerdict, TownTruth
from duck_protection.nodes import robot_messages, town_messages
from duck_protection.nodes.links import LinkWatch

STEADY = (DuckVerdict, Header)  # told by a tick, whatever happens
BUFFER_BYTES = 2**24  # larger than any picture: or rospy hands out old ones


@dataclass(frozen=True)
class Topics:
    """Names, relative to the robot's namespace or absolute; empty: not listened to."""

    picture: str
    verdict: str
    status: str
    heartbeat: str
    guard: str
    permitted: str
    asked: str
    truth: str


class Ears:
    """Subscribes at once. happened(robot, event) is called from whichever thread noticed it."""

    def __init__(
        self, robot: Robot, ring: Ring, topics: Topics, ring_hz: float, happened: Callable[[Robot, Event], None]
    ) -> None:
        self._robot, self._ring, self._happened = robot, ring, happened
        self._births, self._watch = Births(), EventWatch()
        self._lock = threading.Lock()
        self._refused: Set[str] = set()
        self._period_s, self._kept_s = 0.9 / ring_hz, 0.0  # 0.9: a camera's frames do not come evenly
        kinds: Dict[str, Any] = {
            "picture": (CompressedImage, self._picture), "verdict": (DuckVerdict, self._verdict),
            "status": (String, lambda message, _: robot.status(message.data)),
            "heartbeat": (Header, lambda _, at_s: robot.beat(at_s)),
            "guard": (String, lambda message, _: robot.guarded(message.data)),
            "permitted": (Twist2DStamped, lambda message, at_s: self._speed("permitted", message, at_s)),
            "asked": (Twist2DStamped, lambda message, at_s: self._speed("asked", message, at_s)),
            "truth": (TownTruth, lambda message, _: robot.hits(message.ducks_hit + message.flank_hits)),
        }  # fmt: skip
        for name, (kind, take) in kinds.items():
            self._listen(getattr(topics, name), kind, take)

    def look(self) -> None:
        """Whether something happened; call it steadily, for silence is something too."""
        now_s = time.time()
        with self._lock:
            events: List[Event] = self._watch.look(self._robot.in_force(now_s), self._robot.ducks_hit, now_s)
        for event in events:
            self._happened(self._robot, event)

    def _listen(self, topic: str, kind: Any, take: Callable[[Any, float], None]) -> None:
        if not topic:
            return
        name = topic if topic.startswith("/") else f"/{self._robot.name}/{topic}"

        def heard(message: Any) -> None:
            at_s = time.time()
            if message._connection_header.get("md5sum") != kind._md5sum:
                return self._refuse(name, f"its type is not our {kind._type}")
            if kind is not CompressedImage or self._worth_keeping(at_s):
                self._ring.put(Item(at_s, name, kind._type, message._buff))
            try:
                take(kind().deserialize(message._buff), at_s)
            except genpy.DeserializationError as err:
                self._refuse(name, f"unreadable: {err}")
            return None

        few = kind in (CompressedImage, Twist2DStamped)
        subscriber = rospy.Subscriber(
            name, rospy.AnyMsg, heard, queue_size=1 if few else 20, buff_size=BUFFER_BYTES, tcp_nodelay=True
        )
        if kind in STEADY:
            LinkWatch(subscriber).start()

    def _picture(self, message: CompressedImage, at_s: float) -> None:
        self._robot.frame(bytes(message.data), at_s)

    def _verdict(self, message: DuckVerdict, at_s: float) -> None:
        heard = town_messages.heard_here(message, at_s, self._births)
        timing = Timing(message.age_ms, message.decode_ms, message.wait_ms, message.infer_ms)
        self._robot.verdict(heard, timing, message.model)
        self.look()

    def _speed(self, which: str, message: Twist2DStamped, at_s: float) -> None:
        self._robot.speed(which, robot_messages.car_command(message)[0], at_s)

    def _worth_keeping(self, at_s: float) -> bool:
        if 0 <= at_s - self._kept_s < self._period_s:
            return False
        self._kept_s = at_s
        return True

    def _refuse(self, topic: str, why: str) -> None:
        if topic not in self._refused:
            self._refused.add(topic)
            rospy.logwarn("%s is not shown: %s", topic, why)
