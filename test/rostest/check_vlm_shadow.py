#!/usr/bin/env python
"""One model drives, the other is only recorded: it may differ, fail and hang, and the driver's answers never change."""
from __future__ import annotations

import json
import sys
import time
import unittest
from pathlib import Path
from typing import List

import rospy
import rostest
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import ShadowReading
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from stall_guard import seconds_until, undisturbed

from duck_protection.nodes.bounded_service import BoundedService

NODE = "/duckie/vlm_node"
JPEG = bench.noisy_jpegs(1)[0]
WORDS = ["Clear", "Slow", "Stop"]
FRESH_S = 0.25  # duck_protection_node's deadline_s: an answer later than this halts the robot


class VlmShadow(unittest.TestCase):
    def setUp(self) -> None:
        self.parted: List[ShadowReading] = []
        self.status: List[str] = []
        rospy.Subscriber(f"{NODE}/shadow/disagreement", ShadowReading, self.parted.append)
        rospy.Subscriber(f"{NODE}/shadow/status", String, lambda message: self.status.append(message.data))
        self.folder = Path(rospy.get_param(f"{NODE}/shadow/folder"))
        self.service = BoundedService(f"{NODE}/infer", InferImage)

    def ask(self, second: int) -> InferImageResponse:
        image = CompressedImage(format="jpeg", data=JPEG)
        image.header.stamp = rospy.Time(second)
        return self.service.call(InferImageRequest(image, "Is a duck there?", False, WORDS, 0, 2.0), 5.0)

    def drives(self, second: int) -> None:
        """The driver's answer, within its deadline."""
        begun_s = time.monotonic()
        got = self.ask(second)
        took_s = time.monotonic() - begun_s
        self.assertEqual((got.status, got.stamp), (InferImageResponse.OK, rospy.Time(second)))
        self.assertEqual([round(p, 2) for p in got.probabilities], [0.97, 0.02, 0.01])
        self.assertLess(took_s, FRESH_S)

    def lines(self) -> List[dict]:
        file = self.folder / "readings.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def says(self, text: str) -> None:
        seconds_until(lambda: bool(self.status) and text in self.status[-1], 10.0, f"the shadow's status says {text}")

    def dropped(self) -> int:
        return int(self.status[-1].split(" dropped")[0].split()[-1])

    @undisturbed
    def test_the_shadow_differs_agrees_fails_and_hangs_and_the_driver_drives(self) -> None:
        self.says("ready: scripted, 0 read")
        self.drives(7)
        seconds_until(lambda: len(self.parted) == 1, 5.0, "a disagreement is published")
        (told,) = self.parted
        self.assertEqual((told.header.stamp, told.choices, told.same_word), (rospy.Time(7), WORDS, False))
        self.assertEqual([round(p, 2) for p in told.shadow], [0.05, 0.15, 0.80])
        self.assertAlmostEqual(told.difference, 0.902, delta=0.02)
        self.assertGreaterEqual(told.shadow_ms, 300)
        seconds_until(lambda: len(self.lines()) == 1, 5.0, "it is saved")
        self.assertEqual((self.folder / "pictures" / "7.000000.jpg").read_bytes(), JPEG)
        self.drives(8)
        seconds_until(lambda: len(self.lines()) == 2, 5.0, "agreement is saved too")
        self.assertTrue(self.lines()[1]["same"])
        self.drives(9)
        seconds_until(lambda: len(self.lines()) == 3, 5.0, "a failure is saved")
        self.assertIsNone(self.lines()[2]["shadow"])
        self.says("1 failed, last error: AnswerError: nonsense")
        for second in range(10, 20):  # the first hangs, the second waits, the others are dropped
            self.drives(second)
        # 9: the second came before the first was taken from the queue
        seconds_until(lambda: self.dropped() in (8, 9), 10.0, "the shadow's status counts what it was too busy for")
        self.assertEqual(len(self.parted), 1)
        self.assertEqual(len(list((self.folder / "pictures").iterdir())), 1)


if __name__ == "__main__":
    rospy.init_node("check_vlm_shadow")
    rostest.rosrun("duck_protection", "vlm_shadow", VlmShadow)
