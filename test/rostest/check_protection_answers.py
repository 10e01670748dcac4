#!/usr/bin/env python
"""What the workstation says when all is well: verdicts about the frame they carry, and answers to people."""
from __future__ import annotations

import io
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import List

import rospy
import rostest
from PIL import Image
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import AskCamera, CheckRoad
from stall_guard import seconds_until, undisturbed

NODE = "duck_protection_node"
SAYS = {
    "clear": (DuckVerdict.CLEAR, [0.97, 0.02, 0.01], 0.02),
    "slow": (DuckVerdict.SLOW, [0.40, 0.55, 0.05], 0.0),
    "stop": (DuckVerdict.STOP, [0.05, 0.15, 0.80], 0.0),
}


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()
        cls.check = rospy.ServiceProxy(f"{NODE}/check", CheckRoad)
        cls.ask = rospy.ServiceProxy(f"{NODE}/ask", AskCamera)

    def play(self, script: str) -> DuckVerdict:
        self.model.have(script)
        return self.ear.wait(lambda v: v.level == SAYS[script][0], 5.0)[1]

    @undisturbed
    def test_each_level_comes_with_its_frame_its_numbers_and_its_source(self) -> None:
        for script, (_, probabilities, off_mass) in SAYS.items():
            with self.subTest(script):
                verdict = self.play(script)
                self.assertIn(verdict.header.stamp, [stamp for _, stamp in self.camera.sent])
                self.assertEqual(verdict.header.frame_id, "/duckie/camera_optical_frame")
                self.assertEqual((verdict.question, verdict.choices), ("road@1", ["Clear", "Slow", "Stop"]))
                self.assertEqual([round(p, 3) for p in verdict.probabilities], probabilities)
                self.assertAlmostEqual(verdict.off_mass, off_mass, places=3)
                self.assertEqual((verdict.model, verdict.revision, verdict.backend), ("scripted", "0", "scripted"))
                self.assertTrue(verdict.calibrated)
                self.assertTrue(verdict.reason.startswith(f"{script}: p(stop) "), verdict.reason)
                self.assertTrue(0 < verdict.decode_ms < verdict.age_ms < 100, verdict)

    @undisturbed
    def test_every_frame_is_judged_once_and_in_order(self) -> None:
        self.play("clear")
        begun_s = time.monotonic()
        self.ear.wait(lambda _: True, 5.0, begun_s + 2.0)
        stamps = [verdict.header.stamp for verdict in self.ear.since(begun_s)]
        self.assertEqual(stamps, sorted(stamps))
        sent = [stamp for sent_s, stamp in self.camera.sent if begun_s + 0.1 < sent_s < begun_s + 1.9]
        self.assertGreaterEqual(len(set(sent) & set(stamps)), 0.9 * len(sent))  # a busy machine may replace a frame
        self.assertGreaterEqual(len(stamps), len(set(stamps)) + 10)  # the tick's repetitions

    @undisturbed
    def test_check_is_a_new_inference_for_whoever_asks(self) -> None:
        self.play("clear")
        verdict = self.check("").verdict
        self.assertEqual((verdict.level, verdict.question), (DuckVerdict.CLEAR, "road@1"))
        self.assertIn(verdict.header.stamp, [stamp for _, stamp in self.camera.sent])
        unknown = self.check("rood").verdict
        self.assertEqual((unknown.level, unknown.header.stamp), (DuckVerdict.UNKNOWN, rospy.Time()))
        self.assertEqual(unknown.reason, f"question: none is called 'rood'; known: {', '.join(bench.QUESTIONS)}")

    @undisturbed
    def test_ask_answers_in_words(self) -> None:
        self.play("clear")
        answer = self.ask("What do you see?", 0)
        self.assertEqual((answer.ok, answer.text), (True, "The road is clear."))
        self.assertIn(answer.stamp, [stamp for _, stamp in self.camera.sent])
        self.assertTrue(0 <= answer.age_s < 1 and 0 < answer.seconds < 1, answer)
        self.assertEqual(self.ask("What do you see?", 2).text, "The road")
        for question in ("", "   ", "x" * 5000):
            refused = self.ask(question, 0)
            self.assertEqual((refused.ok, refused.text), (False, "question: must have 1 to 4000 characters"))

    @undisturbed
    def test_many_people_delay_no_verdict(self) -> None:
        self.play("clear")
        ends_s = time.monotonic() + 2.0
        answers: List[str] = []

        def people() -> None:
            check = rospy.ServiceProxy(f"{NODE}/check", CheckRoad)
            while time.monotonic() < ends_s:
                answers.append(check("").verdict.reason.split(":")[0])
                time.sleep(0.05)  # people, no flood

        threads = [threading.Thread(target=people, daemon=True) for _ in range(3)]
        begun_s = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10.0)
        said = self.ear.since(begun_s)
        self.assertEqual(set(answers) - {"clear", "busy"}, set())
        self.assertIn("clear", answers)
        self.assertEqual({verdict.level for verdict in said}, {DuckVerdict.CLEAR})
        self.assertLess(max(verdict.age_ms for verdict in said), 250)

    @undisturbed
    def test_the_debug_picture_comes_while_somebody_looks(self) -> None:
        self.play("clear")
        seen: List[CompressedImage] = []
        subscriber = rospy.Subscriber(f"{NODE}/debug/image/compressed", CompressedImage, seen.append)
        try:
            seconds_until(lambda: len(seen) >= 3, 5.0, "three debug pictures")
        finally:
            subscriber.unregister()
        picture = Image.open(io.BytesIO(seen[-1].data))
        self.assertEqual(picture.size, (320, 240))
        self.assertIn(seen[-1].header.stamp, [stamp for _, stamp in self.camera.sent])

    def test_the_diagnostics_say_level_rates_ages_and_model(self) -> None:
        self.play("clear")
        counters = bench.Counters()
        counters.fresh()
        values = counters.fresh()
        self.assertEqual(values["model"], "scripted")
        self.assertTrue(20 < float(values["Frames (Hz)"]) < 40, values)
        self.assertTrue(20 < float(values["Verdicts (Hz)"]) < 40, values)
        middle, late = (float(values[f"Age at verdict {share} (ms)"]) for share in ("p50", "p95"))
        self.assertTrue(0 < middle <= late < 100, values)
        self.assertEqual((values["unreadable"], values["stamp"]), ("0", "0"))


if __name__ == "__main__":
    rospy.init_node("check_protection_answers")
    rostest.rosrun("duck_protection", "protection_answers", Answers)
