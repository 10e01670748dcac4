#!/usr/bin/env python
"""A model without a threshold record never says CLEAR or SLOW, unless allowed, and then says so each time."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path

import rospy
import rostest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from stall_guard import undisturbed


class Uncalibrated(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.strict = bench.Ear()
        cls.permissive = bench.Ear("permissive/verdict")

    @undisturbed
    def test_clear_and_slow_need_a_record_and_stop_does_not(self) -> None:
        for script, strict, permissive in (
            ("clear", DuckVerdict.UNKNOWN, DuckVerdict.CLEAR),
            ("slow", DuckVerdict.UNKNOWN, DuckVerdict.SLOW),
            ("stop", DuckVerdict.STOP, DuckVerdict.STOP),
        ):
            with self.subTest(script):
                self.model.play(script)
                begun_s, verdict = self.permissive.wait(lambda v: v.probabilities, 5.0)
                self.assertEqual((verdict.level, verdict.calibrated), (permissive, False))
                if script != "stop":
                    self.assertIn("uncalibrated", verdict.reason)
                _, verdict = self.strict.wait(lambda v: v.probabilities, 5.0)
                self.assertEqual((verdict.level, verdict.calibrated), (strict, False))
                self.strict.wait(lambda _: True, 2.0, begun_s + 1.0)
                self.assertEqual({v.level for v in self.strict.since(begun_s)} - {strict}, set())
        said = self.strict.since(0.0)
        self.assertEqual({v.level for v in said} & {DuckVerdict.CLEAR, DuckVerdict.SLOW}, set())
        self.assertTrue(any(v.reason == "uncalibrated: no threshold record for scripted 0 none scripted" for v in said))


if __name__ == "__main__":
    rospy.init_node("check_protection_uncalibrated")
    rostest.rosrun("duck_protection", "protection_uncalibrated", Uncalibrated)
