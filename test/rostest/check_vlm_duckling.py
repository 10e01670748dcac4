#!/usr/bin/env python
"""The shipped FastVLM inside the real nodes: it loads, says so, measures probabilities, and comes back when killed."""
from __future__ import annotations

import os
import signal
import sys
import time
import unittest
from pathlib import Path

import rospy
import rostest
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.srv import AskCamera, InferImage, InferImageRequest, InferImageResponse
from stall_guard import undisturbed

from duck_protection.nodes.bounded_service import BoundedService, ServiceError

BACK_S = 5.0
JPEG = bench.noisy_jpegs(1, (640, 480))[0]
WORDS = ["Clear", "Slow", "Stop"]


class Duckling(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.infer = BoundedService("/duckie/vlm_node/infer", InferImage)
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()

    def ask(self, limit_s: float = 5.0) -> InferImageResponse:
        image = CompressedImage(format="jpeg", data=JPEG)
        request = InferImageRequest(image=image, prompt="Is a duck there?", choices=WORDS, deadline_s=limit_s)
        return self.infer.call(request, limit_s)

    def test_it_measures_probabilities(self) -> None:
        got = self.ask()
        self.assertEqual((got.status, got.error, got.backend), (InferImageResponse.OK, "", "fastvlm"))
        self.assertEqual(len(got.probabilities), 3)
        self.assertAlmostEqual(sum(got.probabilities), 1.0, places=5)
        self.assertTrue(all(0 <= p <= 1 for p in (*got.probabilities, got.off_mass)), got)
        self.assertTrue(got.model and got.revision and got.text and got.infer_ms > 0, got)
        for again, before in zip(self.ask().probabilities, got.probabilities):
            self.assertAlmostEqual(again, before, places=6)  # the kept picture's way sums in another order

    def test_its_verdicts_are_about_the_cameras_frames(self) -> None:
        _, verdict = self.ear.wait(lambda v: v.probabilities, 5.0)
        self.assertIn(verdict.header.stamp, [stamp for _, stamp in self.camera.sent])
        self.assertEqual((verdict.choices, verdict.backend), (WORDS, "fastvlm"))

    def test_it_answers_a_free_question(self) -> None:
        self.ear.wait(lambda v: v.probabilities, 5.0)
        answer = rospy.ServiceProxy("duck_protection_node/ask", AskCamera)("What do you see?", 5)
        self.assertTrue(answer.ok, answer.text)

    @undisturbed
    def test_killed_it_says_loading_and_answers_again_in_time(self) -> None:
        self.ask()
        begun_s, seen = time.monotonic(), set()
        os.kill(bench.pid_of(self.model.NODE), signal.SIGKILL)
        while time.monotonic() - begun_s < 2 * BACK_S:
            time.sleep(0.05)  # as often as this, so that asking does not slow the loading down
            try:
                seen.add(self.ask(1.0).status)
            except ServiceError:
                continue
            if InferImageResponse.OK in seen:
                break
        took_s = time.monotonic() - begun_s
        print(f"measured: answering {took_s:.2f} s after the kill", flush=True)
        self.assertEqual(seen, {InferImageResponse.LOADING, InferImageResponse.OK})
        self.assertLess(took_s, BACK_S)


if __name__ == "__main__":
    rospy.init_node("check_vlm_duckling")
    rostest.rosrun("duck_protection", "vlm_duckling", Duckling)
