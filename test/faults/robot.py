"""The robot of the campaign: a camera that can be bent, a controller that wants to drive, wheels that are watched.

Promise: everything that leaves the camera, everything the protection says and everything the wheels are told is
in the ledger, with the monotonic time at which this process saw it.
"""
from __future__ import annotations

import io
import struct
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Callable, List, Tuple, Union

import numpy as np
import rospy
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import Twist2DStamped, WheelsCmdStamped
from ledger import Command, Ledger, Picture, Word
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rostest"))
from bench import noisy_jpegs

from duck_protection.nodes.links import LinkWatch

RATE_HZ = 30.0
SIZE = (320, 240)  # width, height
Shot = Union[CompressedImage, Image]
Bend = Callable[[Shot], List[Shot]]  # what leaves the camera instead of this picture, in this order


def honest(shot: Shot) -> List[Shot]:
    """A camera without a fault."""
    return [shot]


class Camera:
    """Sends pictures at 30 Hz from a thread of its own, each through `bend`.

    Args:
        clock_s: How far the robot's clock, which stamps pictures, is ahead of this process's.
    """

    def __init__(self, topic: str, ledger: Ledger, raw: bool = False, clock_s: float = 0.0) -> None:
        self._kind = Image if raw else CompressedImage
        self._publisher = rospy.Publisher(topic, self._kind, queue_size=1, tcp_nodelay=True)
        self._ledger = ledger
        self.pictures = _raw_pictures() if raw else [jpeg + bytes(4) for jpeg in noisy_jpegs(20, SIZE)]
        self._count = 0
        self.bend: Bend = honest
        self.clock_s = clock_s
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def latest(self, count: int) -> List[bytes]:
        """The pictures that were sent last: what a stuck driver still has in its buffers."""
        return [numbered(self.pictures, self._count - back) for back in range(count)]

    def _run(self) -> None:
        due_s = time.monotonic()
        while not rospy.is_shutdown():
            shot = self._shot()
            data, stamp = shot.data, shot.header.stamp
            for out in self.bend(shot):
                true = out is shot and out.data is data and out.header.stamp == stamp
                self._send(out, Picture(time.monotonic(), out.header.stamp.to_nsec(), true))
            due_s = max(due_s + 1 / RATE_HZ, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _send(self, shot: Shot, picture: Picture) -> None:
        self._ledger.pictures.append(picture)
        try:
            self._publisher.publish(shot)
        except rospy.ROSException:
            if not rospy.is_shutdown():
                raise

    def _shot(self) -> Shot:
        self._count += 1
        shot = self._kind(data=numbered(self.pictures, self._count))
        shot.header.stamp = rospy.Time.now() + rospy.Duration.from_sec(self.clock_s)
        if isinstance(shot, CompressedImage):
            shot.format = "jpeg"
        else:
            shot.width, shot.height, shot.encoding, shot.step = *SIZE, "rgb8", 3 * SIZE[0]
        return shot


def numbered(pictures: List[bytes], number: int) -> bytes:
    """One of these pictures with a number for its last four bytes, which are behind a JPEG's end or a pixel's colour.

    No two numbers give the same: a camera never repeats itself, however many of its pictures are left out.
    """
    return pictures[number % len(pictures)][:-4] + struct.pack("<I", number)


def _raw_pictures() -> List[bytes]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8).tobytes() for _ in range(10)]


def word(mono_s: float, msg: DuckVerdict) -> Word:
    """The ledger's entry for a verdict that came at that time."""
    return Word(mono_s, msg.level, msg.header.stamp.to_nsec(), msg.reason)


class Witness:
    """Hears verdicts and wheel commands, and writes them down. The wheels obey the newest command of either kind."""

    def __init__(self, ledger: Ledger, words: List[Word], verdict: str, car_cmds: List[str], wheels_cmd: str) -> None:
        """words: the ledger's list for the verdicts that are heard here."""
        self._ledger, self._words = ledger, words
        LinkWatch(rospy.Subscriber(verdict, DuckVerdict, self._verdict, tcp_nodelay=True)).start()
        for topic in car_cmds:
            rospy.Subscriber(topic, Twist2DStamped, self._car, tcp_nodelay=True)
        rospy.Subscriber(wheels_cmd, WheelsCmdStamped, self._wheels, tcp_nodelay=True)

    def _verdict(self, msg: DuckVerdict) -> None:
        self._words.append(word(time.monotonic(), msg))

    def _car(self, msg: Twist2DStamped) -> None:
        self._ledger.commands.append(Command(time.monotonic(), not (msg.v == 0 and msg.omega == 0)))  # NaN turns

    def _wheels(self, msg: WheelsCmdStamped) -> None:
        self._ledger.commands.append(Command(time.monotonic(), not (msg.vel_left == 0 and msg.vel_right == 0)))


def as_jpeg(size: Tuple[int, int], kind: str = "JPEG") -> bytes:
    """A noisy picture in this format, for faults that need one of their own. size: (width, height)."""
    rng = np.random.default_rng(1)
    out = io.BytesIO()
    Pillow.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(out, kind)
    return out.getvalue()


@lru_cache(maxsize=1)
def scan_bomb(scans: int = 3000, side_px: int = 2000) -> bytes:
    """A small progressive JPEG whose last scan is repeated: each costs the decoder a walk over all its pixels."""
    rows, columns = np.mgrid[0:side_px, 0:side_px]
    out = io.BytesIO()
    Pillow.fromarray(((rows + columns) // 32).astype(np.uint8)).save(out, "JPEG", progressive=True, quality=50)
    whole = out.getvalue()[:-2]
    return whole + whole[whole.rindex(b"\xff\xda") :] * scans + b"\xff\xd9"
