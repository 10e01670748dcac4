"""Sends the camera's pictures over a slow network as fast as they come back judged, newest first. Runs on the robot.

    Parameters: see config/link_node.yaml
    ~image/compressed_in (CompressedImage)          the camera's
    ~image/compressed (CompressedImage, published)  what the workstation judges instead: bytes and stamps untouched
    ~verdict (DuckVerdict)                          the answers, whose stamps say what has come back

Promise: never more than `window` pictures are under way, so none grows old in a queue; what is sent is the newest.
"""
from __future__ import annotations

import threading
import time
from typing import Any, Dict, Optional

import rospy
from sensor_msgs.msg import CompressedImage

from duck_protection.msg import DuckVerdict
from duck_protection.nodes.links import LinkWatch
from duck_protection.nodes.ros_node import every, run_node
from duck_protection.pacing import Pace, Pacer
from duck_protection.settings import settings_from

BUFFER_BYTES = 2**24
LOOK_HZ = 10.0  # for what was given up; everything else happens when something comes
SAY_S = 60.0


class LinkNode:
    """Pictures and answers come on threads of rospy's; whichever comes makes the next picture go."""

    def __init__(self, pace: Pace) -> None:
        self._pacer = Pacer(pace)
        self._lock = threading.Lock()
        self._newest: Optional[CompressedImage] = None
        self._said = 0
        self._out = rospy.Publisher("~image/compressed", CompressedImage, queue_size=1, tcp_nodelay=True)
        verdicts = rospy.Subscriber("~verdict", DuckVerdict, self._hear, queue_size=20, tcp_nodelay=True)
        LinkWatch(verdicts).start()  # they cross the same network
        rospy.Subscriber("~image/compressed_in", CompressedImage, self._take, queue_size=1,
                         buff_size=BUFFER_BYTES, tcp_nodelay=True)  # fmt: skip

    def tick(self) -> None:
        """Sends again after a silence."""
        with self._lock:
            self._send()
            given_up = self._pacer.given_up - self._said
        if given_up:
            self._said += given_up
            rospy.logwarn_throttle(SAY_S, f"no verdict came back: {given_up} pictures given up")

    def _take(self, picture: CompressedImage) -> None:
        with self._lock:
            self._newest = picture
            self._send()

    def _hear(self, verdict: DuckVerdict) -> None:
        with self._lock:
            self._pacer.heard(verdict.header.stamp.to_nsec(), time.monotonic())
            self._send()

    def _send(self) -> None:
        """The newest picture, once, when there is room for it."""
        if self._newest is None or not self._pacer.may_send(time.monotonic()):
            return
        picture, self._newest = self._newest, None
        self._pacer.sent(picture.header.stamp.to_nsec(), time.monotonic())
        self._out.publish(picture)


def start(parameters: Dict[str, Any]) -> None:
    """Runs the node until the end."""
    node = LinkNode(settings_from(Pace, parameters))
    every(1 / LOOK_HZ, node.tick)


def main() -> None:
    """The executable."""
    run_node("link_node", start)
