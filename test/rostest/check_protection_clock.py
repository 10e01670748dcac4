#!/usr/bin/env python
"""A clock that stands at zero, stops or jumps: UNKNOWN and why, the tick goes on, and verdicts come back."""
from __future__ import annotations

import sys
import threading
import time
import unittest
from pathlib import Path

import rospy
import rostest
from rosgraph_msgs.msg import Clock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImage
from stall_guard import undisturbed

START_S = 1_700_000_000.0


class Clocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.Service("vlm_node/infer", InferImage, bench.answer)
        cls.publisher = rospy.Publisher("/clock", Clock, queue_size=10)
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()
        cls.running = False
        cls.now_s = START_S
        threading.Thread(target=cls.run_clock, daemon=True).start()

    @classmethod
    def run_clock(cls) -> None:
        before_s = time.monotonic()
        while True:
            time.sleep(0.005)
            passed_s, before_s = time.monotonic() - before_s, time.monotonic()
            if cls.running:
                cls.now_s += passed_s
                cls.publisher.publish(Clock(rospy.Time.from_sec(cls.now_s)))

    def clear(self, limit_s: float = 2.0) -> None:
        type(self).running = True
        self.ear.wait(lambda v: v.level == DuckVerdict.CLEAR, limit_s)

    def test_0_without_a_clock_it_says_so_at_ten_hertz(self) -> None:
        """First, while no clock has ticked yet; unittest goes by the names."""
        begun_s, _ = self.ear.wait(lambda v: v.reason.startswith("clock: this machine's clock stands at zero"), 10.0)
        self.ear.wait(lambda _: True, 3.0, begun_s + 1.0)
        said = self.ear.since(begun_s)
        self.assertEqual({v.level for v in said}, {DuckVerdict.UNKNOWN})
        self.assertGreaterEqual(len(said), 9)
        self.clear()

    @undisturbed
    def test_a_jump_costs_a_frame_and_no_more(self) -> None:
        self.clear()
        for jump_s in (5.0, -5.0, 0.5, -0.5):
            with self.subTest(jump_s):
                begun_s = time.monotonic()
                type(self).now_s += jump_s
                self.ear.wait(lambda v: v.reason.startswith(("clock: ", "stamp: went back")), 0.5)
                self.ear.wait(lambda v: v.level == DuckVerdict.CLEAR, 0.5, begun_s + 0.1)
                self.ear.wait(lambda _: True, 1.0, begun_s + 0.6)
                self.assertEqual({v.level for v in self.ear.since(begun_s + 0.5)}, {DuckVerdict.CLEAR})

    @undisturbed
    def test_a_clock_that_stops_is_unknown(self) -> None:
        self.clear()
        type(self).running = False
        begun_s = time.monotonic()
        self.ear.wait(lambda _: True, 3.0, begun_s + 1.5)
        said = self.ear.since(begun_s + 0.6)
        self.assertEqual({v.level for v in said}, {DuckVerdict.UNKNOWN})
        self.assertGreaterEqual(len(said), 8)
        self.clear()


if __name__ == "__main__":
    rospy.init_node("check_protection_clock")
    rostest.rosrun("duck_protection", "protection_clock", Clocks)
