#!/usr/bin/env python
"""A model that lies gets UNKNOWN, in the words of its lie; the next honest answer is believed again."""
from __future__ import annotations

import math
import sys
import threading
import unittest
from pathlib import Path
from typing import Any, Callable

import rospy
import rostest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from stall_guard import undisturbed

R = InferImageResponse
LIES = {
    "another frame": (lambda q: bench.answer(q, stamp=rospy.Time(1)), "model: answered another frame"),
    "another stamp by 1 ns": (
        lambda q: bench.answer(q, stamp=q.image.header.stamp + rospy.Duration(0, 1)),
        "model: answered another frame",
    ),
    "no choices repeated": (lambda q: bench.answer(q, choices=[]), "model: answered another frame or question"),
    "choices in another order": (lambda q: bench.answer(q, choices=q.choices[::-1]), "model: answered another"),
    "no probabilities": (lambda q: bench.answer(q, probabilities=[]), "bad reply: 0 probabilities"),
    "one too few": (lambda q: bench.answer(q, probabilities=[0.5, 0.5]), "bad reply: 2 probabilities"),
    "NaN": (lambda q: bench.answer(q, probabilities=[math.nan, 0.5, 0.5]), "bad reply: a probability is not"),
    "infinite": (lambda q: bench.answer(q, probabilities=[math.inf, 0.0, 0.0]), "bad reply: a probability is not"),
    "negative": (lambda q: bench.answer(q, probabilities=[1.5, -0.25, -0.25]), "bad reply: a probability is not"),
    "sum of 0.5": (lambda q: bench.answer(q, probabilities=[0.5, 0.0, 0.0]), "bad reply: probabilities sum"),
    "NaN off-mass": (lambda q: bench.answer(q, off_mass=math.nan), "bad reply: a probability is not"),
    "off the choices": (lambda q: bench.answer(q, off_mass=0.9), "off the choices"),
    "unheard-of status": (lambda q: bench.answer(q, status=200), "model: unknown status 200"),
    "loading": (lambda q: bench.answer(q, status=R.LOADING), "model: loading"),
    "busy": (lambda q: bench.answer(q, status=R.BUSY), "model: busy"),
    "late": (lambda q: bench.answer(q, status=R.LATE), "model: too late"),
    "out of memory": (lambda q: bench.answer(q, status=R.OUT_OF_MEMORY), "model: out of memory"),
    "error": (lambda q: bench.answer(q, status=R.MODEL_ERROR, error="broken"), "model: failed: broken"),
    "another model": (lambda q: bench.answer(q, revision="2"), "uncalibrated: no threshold record for fake 2"),
}


def failing(_: InferImageRequest) -> InferImageResponse:
    raise rospy.ServiceException("no such luck")


class Lies(unittest.TestCase):
    """One fake model, whose `say` a test bends."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.say: Callable[[Any], Any] = bench.answer
        rospy.Service("vlm_node/infer", InferImage, lambda request: cls.say(request))
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()

    def setUp(self) -> None:
        self.honest()

    def honest(self) -> DuckVerdict:
        type(self).say = staticmethod(bench.answer)
        return self.ear.wait(lambda verdict: verdict.level == DuckVerdict.CLEAR, 5.0)[1]

    @undisturbed
    def test_an_honest_answer_is_published_with_the_frame_it_is_about(self) -> None:
        verdict = self.honest()
        self.assertIn(verdict.header.stamp, [stamp for _, stamp in self.camera.sent])
        self.assertEqual(verdict.header.frame_id, "/duckie/camera_optical_frame")
        self.assertEqual((verdict.question, verdict.choices), ("road@1", ["Clear", "Slow", "Stop"]))
        self.assertEqual((verdict.model, verdict.revision, verdict.backend), ("fake", "1", "scripted"))
        self.assertEqual([round(p, 3) for p in verdict.probabilities], [0.98, 0.01, 0.01])
        self.assertTrue(verdict.calibrated)
        self.assertTrue(0 < verdict.age_ms < 400, verdict.age_ms)

    @undisturbed
    def test_each_lie_is_unknown_and_does_not_outlive_itself(self) -> None:
        for name, (lie, reason) in LIES.items():
            with self.subTest(name):
                type(self).say = staticmethod(lie)
                _, verdict = self.ear.wait(lambda v, reason=reason: v.reason.startswith(reason), 3.0)
                self.assertEqual(verdict.level, DuckVerdict.UNKNOWN)
                self.assertNotEqual(verdict.header.stamp, rospy.Time())
                self.honest()

    @undisturbed
    def test_a_service_error_is_unknown(self) -> None:
        type(self).say = staticmethod(failing)
        _, verdict = self.ear.wait(lambda v: "no such luck" in v.reason, 3.0)
        self.assertEqual(verdict.level, DuckVerdict.UNKNOWN)
        self.honest()

    @undisturbed
    def test_no_answer_is_unknown_within_the_deadline_and_the_tick_goes_on(self) -> None:
        release = threading.Event()
        type(self).say = staticmethod(lambda request: release.wait(20) and bench.answer(request))
        begun_s, verdict = self.ear.wait(lambda v: v.reason == "model: no answer within 0.25 s", 2.0)
        self.assertEqual(verdict.level, DuckVerdict.UNKNOWN)
        self.ear.wait(lambda _: True, 3.0, begun_s + 1.5)
        said = self.ear.since(begun_s)
        self.assertGreaterEqual(len(said), 12)  # 10 Hz over 1.5 s, and a verdict for each frame that timed out
        self.assertEqual({v.level for v in said}, {DuckVerdict.UNKNOWN})
        release.set()
        self.honest()


if __name__ == "__main__":
    rospy.init_node("check_protection_lies")
    rostest.rosrun("duck_protection", "protection_lies", Lies)
