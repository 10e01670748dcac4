#!/usr/bin/env python
"""Three robots share one model: each hears verdicts about its own frames, as often as the others, and the loss of one
robot's camera or protection is nobody else's matter."""
from __future__ import annotations

import os
import signal
import sys
import time
import unittest
from pathlib import Path
from typing import Dict, Set

import rosgraph
import rospy
import rostest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from stall_guard import seconds_until, undisturbed

ROBOTS = ("duckbar", "yanberbot", "zgxbot")
LIMIT_S = 30.0
SOON_S = 10.0


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.cameras = {robot: bench.Camera(f"/{robot}/camera_node/image/compressed", 10.0) for robot in ROBOTS}
        cls.ears = {robot: bench.Ear(f"/{robot}/duck_protection_node/verdict") for robot in ROBOTS}
        for robot in ROBOTS:
            cls.ears[robot].wait(lambda verdict: verdict.probabilities, LIMIT_S, 0.0)

    def judged(self, robot: str, since_s: float) -> Set[rospy.Time]:
        """Stamps of this robot's frames that the model has judged since then."""
        return {verdict.header.stamp for verdict in self.ears[robot].since(since_s) if verdict.probabilities}

    def judged_by_all(self, at_least: int) -> Dict[str, Set[rospy.Time]]:
        begun_s = time.monotonic()
        seconds_until(
            lambda: all(len(self.judged(robot, begun_s)) >= at_least for robot in ROBOTS), LIMIT_S,
            f"every robot has {at_least} frames judged",
        )  # fmt: skip
        return {robot: self.judged(robot, begun_s) for robot in ROBOTS}

    def test_there_is_one_model_and_a_protection_for_each(self) -> None:
        nodes = {name for group in rosgraph.Master("/check").getSystemState()[0] for name in group[1]}
        wanted = {f"/{robot}/duck_protection_node" for robot in ROBOTS}
        self.assertTrue(wanted <= nodes, nodes)
        services = rosgraph.Master("/check").getSystemState()[2]
        self.assertEqual([name for name, _ in services if name.endswith("/infer")], ["/fleet/vlm_node/infer"])

    def test_each_hears_about_its_own_frames_alone(self) -> None:
        for robot, stamps in self.judged_by_all(5).items():
            own = {stamp for _, stamp in self.cameras[robot].sent}
            self.assertTrue(stamps <= own, robot)

    @undisturbed
    def test_nobody_is_served_twice_as_often_as_another(self) -> None:
        counts = {robot: len(stamps) for robot, stamps in self.judged_by_all(20).items()}
        print(f"measured: frames judged {counts}", flush=True)
        self.assertLess(max(counts.values()), 2 * min(counts.values()), counts)

    def test_one_robots_loss_is_nobody_elses(self) -> None:
        """zgxbot's camera stops, then duckbar's protection is killed: yanberbot's go on, the others' return."""
        self.cameras["zgxbot"].bend = lambda _: None
        self.ears["zgxbot"].wait(lambda verdict: verdict.level == 0 and not verdict.probabilities, SOON_S)
        pid = bench.pid_of("/duckbar/duck_protection_node")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        seconds_until(lambda: len(self.judged("yanberbot", killed_s)) >= 5, SOON_S, "yanberbot goes on")
        self.cameras["zgxbot"].bend = lambda message: message
        self.judged_by_all(3)


if __name__ == "__main__":
    rospy.init_node("check_fleet")
    rostest.rosrun("duck_protection", "fleet", Fleet)
