#!/usr/bin/env python
"""A model that is killed, frozen or broken: UNKNOWN within half a second, the tick goes on, and back by itself."""
from __future__ import annotations

import os
import signal
import sys
import time
import unittest
from pathlib import Path

import rospy
import rostest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import AskCamera, CheckRoad
from stall_guard import seconds_until, undisturbed

UNKNOWN, CLEAR = DuckVerdict.UNKNOWN, DuckVerdict.CLEAR
UNKNOWN_S = 0.5
BACK_S = 5.0


class ModelFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()

    def clear(self) -> None:
        self.ear.wait(lambda v: v.level == CLEAR, BACK_S)

    def stays_unknown(self, since_s: float, for_s: float) -> None:
        """UNKNOWN at once or soon, at 10 Hz or faster, until since_s + for_s."""
        self.ear.wait(lambda _: True, 5.0, since_s + for_s)
        said = self.ear.since(since_s + UNKNOWN_S)
        self.assertEqual({v.level for v in said}, {UNKNOWN})
        self.assertGreaterEqual(len(said), int((for_s - UNKNOWN_S) * 10) - 1)

    @undisturbed
    def test_a_killed_model_is_unknown_and_comes_back(self) -> None:
        self.model.have("clear")
        self.clear()
        begun_s = time.monotonic()
        os.kill(bench.pid_of(self.model.NODE), signal.SIGKILL)
        heard_s, _ = self.ear.wait(lambda v: v.reason.startswith("model: gone: "), UNKNOWN_S)
        self.ear.wait(lambda v: v.level == CLEAR, BACK_S, heard_s)
        back_s = self.ear.wait(lambda v: v.level == CLEAR, BACK_S, heard_s)[0]
        print(f"measured: killed model, UNKNOWN after {heard_s - begun_s:.3f} s, back after {back_s - begun_s:.3f} s")

    @undisturbed
    def test_a_frozen_model_is_unknown_while_the_tick_goes_on_and_comes_back(self) -> None:
        self.model.have("clear")
        self.clear()
        pid = bench.pid_of(self.model.NODE)
        begun_s = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            heard_s, _ = self.ear.wait(lambda v: v.reason == "model: no answer within 0.25 s", UNKNOWN_S)
            self.stays_unknown(begun_s, 2.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        thawed_s = time.monotonic()
        back_s = self.ear.wait(lambda v: v.level == CLEAR, 1.0, thawed_s)[0]
        print(f"measured: frozen model, UNKNOWN after {heard_s - begun_s:.3f} s, back {back_s - thawed_s:.3f} s after")
        self.ear.wait(lambda _: True, 5.0, back_s + 1.0)
        self.assertEqual({v.level for v in self.ear.since(back_s)}, {CLEAR})

    @undisturbed
    def test_people_get_an_answer_while_the_model_is_frozen(self) -> None:
        self.model.have("clear")
        self.clear()
        check = rospy.ServiceProxy("duck_protection_node/check", CheckRoad)
        ask = rospy.ServiceProxy("duck_protection_node/ask", AskCamera)
        pid = bench.pid_of(self.model.NODE)
        os.kill(pid, signal.SIGSTOP)
        try:
            self.assertEqual(check("").verdict.reason, "model: no answer within 2 s")
            answer = ask("What do you see?", 0)
            self.assertEqual((answer.ok, answer.text), (False, "model: no answer within 3 s"))
        finally:
            os.kill(pid, signal.SIGCONT)

    @undisturbed
    def test_a_model_of_nans_is_unknown(self) -> None:
        self.model.play("nan")
        begun_s, verdict = self.ear.wait(lambda v: v.reason.startswith("bad reply: "), BACK_S)
        self.assertEqual((verdict.level, verdict.model), (UNKNOWN, "scripted"))
        self.stays_unknown(begun_s - UNKNOWN_S, 1.5)

    @undisturbed
    def test_a_model_that_hangs_is_unknown(self) -> None:
        self.model.play("hang")
        begun_s, _ = self.ear.wait(lambda v: v.reason.startswith(("model: no answer", "model: too late")), BACK_S)
        self.stays_unknown(begun_s - UNKNOWN_S, 2.0)

    @undisturbed
    def test_each_error_of_the_model_costs_one_frame(self) -> None:
        killed_s = self.model.play("failing")
        begun_s, _ = self.ear.wait(lambda v: v.reason.startswith("model: out of memory: "), BACK_S, killed_s)
        self.ear.wait(lambda v: v.level == CLEAR, 1.0, begun_s)
        reasons = [v.reason for v in self.ear.since(begun_s) if v.reason.startswith("model: ")]
        for begin in ("failed: nonsense", "too late: ", "busy: ", "loading: ", "refuses the question: ", "failed: an "):
            self.assertTrue(any(reason.startswith(f"model: {begin}") for reason in reasons), (begin, reasons))

    @undisturbed
    def test_a_killed_protection_comes_back(self) -> None:
        self.model.have("clear")
        self.clear()
        killed_s = time.monotonic()
        os.kill(bench.pid_of("/duckie/duck_protection_node"), signal.SIGKILL)
        seconds_until(lambda: any(s > killed_s + 0.1 for s, _ in self.ear.heard[-3:]), BACK_S, "a verdict again")
        back_s = self.ear.wait(lambda v: v.level == CLEAR, BACK_S, killed_s + 0.1)[0]
        print(f"measured: killed protection, back after {back_s - killed_s:.3f} s")


if __name__ == "__main__":
    rospy.init_node("check_protection_model")
    rostest.rosrun("duck_protection", "protection_model", ModelFaults)
