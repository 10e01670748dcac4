#!/usr/bin/env python
"""A camera that does everything wrong, before a model that always says clear: UNKNOWN, why, and back by itself."""
from __future__ import annotations

import struct
import sys
import time
import unittest
import zlib
from pathlib import Path
from typing import Callable, Optional

import rospy
import rostest
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from stall_guard import undisturbed

UNKNOWN, CLEAR = DuckVerdict.UNKNOWN, DuckVerdict.CLEAR
Bend = Callable[[CompressedImage], Optional[CompressedImage]]
SILENT_S = 0.5  # UNKNOWN within this, and named
BACK_S = 1.0


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be so large, with next to nothing in it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 50


def with_data(change: Callable[[bytes], bytes]) -> Bend:
    """Every frame with other bytes, never the same twice."""

    def bend(message: CompressedImage) -> CompressedImage:
        message.data = change(message.data)
        return message

    return bend


def with_stamp(change: Callable[[rospy.Time], rospy.Time]) -> Bend:
    def bend(message: CompressedImage) -> CompressedImage:
        message.header.stamp = change(message.header.stamp)
        return message

    return bend


def shifted(seconds: float) -> Bend:
    return with_stamp(lambda stamp: stamp + rospy.Duration.from_sec(seconds))


def honest(message: CompressedImage) -> CompressedImage:
    return message


# name: what is done to every frame, how the reason begins, which counter counts it
FAULTS = {
    "empty": (with_data(lambda _: b""), "unreadable: the picture has no bytes", "unreadable"),
    "truncated": (with_data(lambda data: data[: len(data) // 2]), "unreadable: ", "unreadable"),
    "no picture": (with_data(lambda data: b"nonsense" + data[-99:]), "unreadable: ", "unreadable"),
    "0x0": (with_data(lambda data: png_header(0, 0) + data[-9:]), "unreadable: ", "unreadable"),
    "a bomb": (with_data(lambda data: png_header(60000, 60000) + data[-9:]), "unreadable: ", "unreadable"),
    "too many bytes": (with_data(lambda data: data + b"\0" * 2**23), "unreadable: ", "unreadable"),
    "no stamp": (with_stamp(lambda _: rospy.Time()), "stamp: the frame has none", "stamp"),
    "100 s ago": (shifted(-100.0), "stamp: 100.0 s behind this machine's clock", "stamp"),
    "100 s ahead": (shifted(100.0), "stamp: 100.0 s ahead of this machine's clock", "stamp"),
    "the greatest stamp": (with_stamp(lambda _: rospy.Time(2**32 - 1)), "stamp: ", "stamp"),
}


class CameraFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()
        cls.counters = bench.Counters()

    def setUp(self) -> None:
        self.camera.bend = honest
        self.ear.wait(lambda v: v.level == CLEAR, 10.0)

    def back(self) -> None:
        """The fault ends, and verdicts are there again."""
        self.camera.bend = honest
        self.ear.wait(lambda v: v.level == CLEAR, BACK_S)

    def falls(self, bend: Bend, reason: str) -> float:
        """The fault begins; UNKNOWN for that reason within SILENT_S and for some time more; returns after how long."""
        begun_s = time.monotonic()
        self.camera.bend = bend
        heard_s, verdict = self.ear.wait(lambda v: v.reason.startswith(reason), SILENT_S)
        self.assertEqual(verdict.level, UNKNOWN)
        self.ear.wait(lambda _: True, 2.0, begun_s + 0.9)
        self.assertEqual({v.level for v in self.ear.since(begun_s + SILENT_S)}, {UNKNOWN})
        return heard_s - begun_s

    @undisturbed
    def test_a_silent_camera_is_named_and_comes_back(self) -> None:
        took_s = self.falls(lambda _: None, "camera: silent for ")
        print(f"measured: UNKNOWN {took_s:.3f} s after the camera fell silent", flush=True)
        verdict = self.ear.heard[-1][1]
        self.assertEqual((verdict.header.stamp, list(verdict.probabilities)), (rospy.Time(), []))
        self.back()

    @undisturbed
    def test_the_tick_goes_on_at_ten_hertz_through_the_silence(self) -> None:
        self.falls(lambda _: None, "camera: silent for ")
        begun_s = time.monotonic()
        self.ear.wait(lambda _: True, 3.0, begun_s + 2.0)
        self.assertTrue(19 <= len(self.ear.since(begun_s)) <= 22, len(self.ear.since(begun_s)))
        self.back()

    @undisturbed
    def test_a_camera_that_repeats_one_picture_is_named_and_comes_back(self) -> None:
        frozen = self.camera._pictures[3]
        took_s = self.falls(with_data(lambda _: frozen), "frozen: the camera repeats one picture")
        print(f"measured: UNKNOWN {took_s:.3f} s after the camera froze", flush=True)
        self.assertGreater(int(self.counters.fresh()["repeated"]), 0)
        self.back()

    @undisturbed
    def test_frames_that_cannot_be_judged_are_unknown_with_their_header_and_counted(self) -> None:
        before = self.counters.fresh()
        for name, (bend, reason, _) in FAULTS.items():
            with self.subTest(name):
                begun_s = time.monotonic()
                self.falls(bend, reason)
                own = [v for v in self.ear.since(begun_s) if v.reason.startswith(reason)]
                stamps = {stamp for sent_s, stamp in self.camera.sent if sent_s >= begun_s}
                self.assertTrue({v.header.stamp for v in own} <= stamps, name)
                self.assertEqual({v.header.frame_id for v in own}, {"/duckie/camera_optical_frame"})
                self.back()
        self.counters.fresh()
        after = self.counters.fresh()
        for counter in ("unreadable", "stamp"):
            faults = sum(fault[2] == counter for fault in FAULTS.values())
            self.assertGreaterEqual(int(after[counter]), int(before[counter]) + 10 * faults)

    @undisturbed
    def test_one_bad_frame_costs_that_frame_only(self) -> None:
        for name, (bend, reason, _) in FAULTS.items():
            if name == "too many bytes":  # takes so long to come that a newer frame may replace it
                continue
            with self.subTest(name):
                once = [bend]
                begun_s = time.monotonic()
                self.camera.bend = lambda message, once=once: once.pop()(message) if once else message
                self.ear.wait(lambda v, reason=reason: v.reason.startswith(reason), SILENT_S)
                self.ear.wait(lambda v: v.level == CLEAR, 0.3, begun_s)
                said = self.ear.since(begun_s)
                self.assertLessEqual(sum(v.level == UNKNOWN for v in said), 3)  # it, and the tick's repetition

    @undisturbed
    def test_a_camera_whose_clock_is_off_by_a_second_still_serves(self) -> None:
        for seconds in (-1.0, 1.0):
            with self.subTest(seconds):
                begun_s = time.monotonic()
                self.camera.bend = shifted(seconds)
                self.ear.wait(lambda _: True, 3.0, begun_s + 1.5)
                said = self.ear.since(begun_s + 0.5)
                self.assertEqual({v.level for v in said}, {CLEAR})
                self.assertLess(max(v.age_ms for v in said), 250)
                self.back()


if __name__ == "__main__":
    rospy.init_node("check_protection_camera")
    rostest.rosrun("duck_protection", "protection_camera", CameraFaults)
