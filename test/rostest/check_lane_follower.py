#!/usr/bin/env python
"""Our own lane controller: it steers by fresh lane poses, on fresh verdicts, and stands without either."""
from __future__ import annotations

import math
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rospy
import rostest
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import LanePose
from rig import Town, Wheels, pid_of, release, send_signal
from stall_guard import seconds_until, seconds_while, undisturbed

FOLLOWER, WATCHDOG = "/duckiebot/lane_follower_node", "/duckiebot/watchdog_node"
V_MPS = 0.19


class LaneFollower(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.init_node("check_lane_follower")
        cls.wheels = Wheels(f"{FOLLOWER}/car_cmd", f"{WATCHDOG}/car_cmd", wheels_cmd=f"{WATCHDOG}/wheels_cmd")
        cls.town = Town(f"{FOLLOWER}/verdict", lane_pose=f"{FOLLOWER}/lane_pose")
        seconds_until(lambda: cls.wheels.commands > 20, 20, "the follower's commands")

    def drive(self) -> None:
        """CLEAR verdicts, a pose on the line, and wheels that turn."""
        self.town.reset()
        release(f"{FOLLOWER}/release")
        seconds_until(lambda: not self.wheels.turning, 2.0, "standing before the check")
        self.town.level = DuckVerdict.CLEAR
        seconds_until(lambda: self.wheels.v_mps is not None and self.wheels.v_mps > 0.9 * V_MPS, 5.0, "driving")

    def zero(self, limit_s: float, why: str) -> None:
        """The wheels come to zero in time, and stay there, and zeros are said again and again."""
        took_s = seconds_until(lambda: not self.wheels.turning, limit_s, f"zero when {why}")
        print(f"measured: zero after {took_s:.3f} s when {why}", flush=True)
        before = self.wheels.commands
        seconds_while(lambda: not self.wheels.turning, 0.5, f"zero when {why}")
        self.assertGreaterEqual(self.wheels.commands - before, 7)

    @undisturbed
    def test_it_steers_back_to_the_line(self) -> None:
        self.drive()
        self.town.pose = LanePose(d=0.05, in_lane=True)
        seconds_until(lambda: self.wheels.omega_radps < -0.3, 0.3, "right turn when left of the line")
        self.town.pose = LanePose(d=-0.05, in_lane=True)
        seconds_until(lambda: self.wheels.omega_radps > 0.3, 0.3, "left turn when right of the line")

    @undisturbed
    def test_it_feeds_the_lanes_curvature_forward(self) -> None:
        self.drive()
        self.town.pose = LanePose(curvature=2.0, in_lane=True)
        seconds_until(lambda: abs(self.wheels.omega_radps - 2.0 * V_MPS) < 1e-3, 0.5, "the curve's turn rate")

    @undisturbed
    def test_stop_is_zero(self) -> None:
        self.drive()
        self.town.level = DuckVerdict.STOP
        self.zero(0.25, "STOP")

    @undisturbed
    def test_a_silent_lane_pose_is_zero_and_its_return_drives(self) -> None:
        self.drive()
        self.town.pose = None
        self.zero(0.5, "the lane pose falls silent")
        self.town.pose = LanePose(in_lane=True)
        seconds_until(lambda: self.wheels.turning, 5.0, "driving again with a lane pose")

    @undisturbed
    def test_old_lane_poses_are_zero(self) -> None:
        self.drive()
        self.town.pose_lag_s = 0.3
        self.zero(0.5, "lane poses are 0.3 s old")

    @undisturbed
    def test_a_lane_pose_from_the_future_is_zero(self) -> None:
        self.drive()
        self.town.pose_lag_s = -0.2
        self.zero(0.5, "lane poses are 0.2 s ahead")

    @undisturbed
    def test_lane_poses_that_cannot_be_believed_are_zero(self) -> None:
        for pose in (
            LanePose(d=math.nan, in_lane=True), LanePose(d=5.0, in_lane=True), LanePose(in_lane=False),
            LanePose(in_lane=True, status=LanePose.ERROR),
        ):  # fmt: skip
            self.drive()
            self.town.pose = pose
            self.zero(0.5, f"d {pose.d}, in_lane {pose.in_lane}, status {pose.status}")

    @undisturbed
    def test_killed_follower_is_zero_and_comes_back(self) -> None:
        self.drive()
        send_signal(pid_of(FOLLOWER), signal.SIGKILL)
        self.zero(0.5, "the follower was killed")
        took_s = seconds_until(lambda: self.wheels.turning, 5.0, "driving again after the kill")
        print(f"measured: driving again {took_s:.3f} s after the follower was killed", flush=True)


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "lane_follower", LaneFollower)
