#!/usr/bin/env python
"""A slow model sees only the newest frame: what waits is replaced, and nothing ages beyond one model time."""
from __future__ import annotations

import sys
import threading
import time
import unittest
from pathlib import Path
from typing import List

import rospy
import rostest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import AskCamera, AskCameraResponse
from stall_guard import undisturbed

MODEL_S = 0.2  # scripts/late.yaml
FRAME_S = 1 / bench.RATE_HZ


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()
        cls.ear.wait(lambda v: v.level == DuckVerdict.CLEAR, 10.0)

    def ages(self, begun_s: float) -> List[float]:
        """Of each frame judged since, from being sent to its verdict being heard."""
        sent = {stamp: sent_s for sent_s, stamp in self.camera.sent}
        first = {}
        for heard_s, verdict in list(self.ear.heard):
            first.setdefault(verdict.header.stamp, heard_s)
        return [heard_s - sent[stamp] for stamp, heard_s in first.items() if heard_s >= begun_s and stamp in sent]

    @undisturbed
    def test_only_the_newest_frame_is_judged(self) -> None:
        begun_s = time.monotonic()
        self.ear.wait(lambda _: True, 10.0, begun_s + 4.0)
        ages_s = self.ages(begun_s + 0.5)
        self.assertTrue(14 <= len(ages_s) <= 18, len(ages_s))  # 3.5 s of 0.2 s each, and hand-overs
        self.assertLess(max(ages_s), MODEL_S + FRAME_S + 0.05)
        self.assertEqual({verdict.level for verdict in self.ear.since(begun_s)}, {DuckVerdict.CLEAR})
        counters = bench.Counters().fresh()
        self.assertGreater(int(counters["dropped"]), 50)

    @undisturbed
    def test_a_free_question_never_ages_a_verdict_by_more_than_a_token(self) -> None:
        answers: List[AskCameraResponse] = []
        ask = rospy.ServiceProxy("duck_protection_node/ask", AskCamera)
        begun_s = time.monotonic()
        thread = threading.Thread(target=lambda: answers.append(ask("What do you see?", 0)), daemon=True)
        thread.start()
        thread.join(20.0)
        self.assertEqual([answer.text for answer in answers], ["Clear"])
        self.assertLess(max(self.ages(begun_s)), 2 * MODEL_S + FRAME_S + 0.05)
        self.assertEqual({verdict.level for verdict in self.ear.since(begun_s)}, {DuckVerdict.CLEAR})


if __name__ == "__main__":
    rospy.init_node("check_protection_slow")
    rostest.rosrun("duck_protection", "protection_slow", Slow)
