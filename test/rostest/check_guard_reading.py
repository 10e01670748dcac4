#!/usr/bin/env python
"""The guard in mode reading: dt-core's controller hears stop lines (daffy) or pedestrians (ente), and never silence."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rosgraph
import rospy
import rostest
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import BoolStamped, StopLineReading
from rig import Town, release
from stall_guard import seconds_until, seconds_while, undisturbed

VEH = "/duckiebot"
CLEAR, SLOW, STOP = (False, False), (True, False), (True, True)  # (stop_line_detected, at_stop_line)


class GuardReading(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.init_node("check_guard_reading")
        cls.line: Optional[StopLineReading] = None
        cls.pedestrian: Optional[bool] = None
        cls.lines = 0
        rospy.Subscriber(f"{VEH}/road_anomaly_watcher/obstacle_distance", StopLineReading, cls.hear_line)
        rospy.Subscriber(f"{VEH}/pedestrian_detection/detection", BoolStamped, cls.hear_pedestrian)
        cls.town = Town(f"{VEH}/duck_protection_node/verdict")
        seconds_until(lambda: cls.lines > 10, 20, "the guard's readings")

    @classmethod
    def hear_line(cls, msg: StopLineReading) -> None:
        cls.line, cls.lines = msg, cls.lines + 1

    @classmethod
    def hear_pedestrian(cls, msg: BoolStamped) -> None:
        cls.pedestrian = msg.data

    def reads(self, line: tuple, pedestrian: bool) -> bool:
        flags = (self.line.stop_line_detected, self.line.at_stop_line)
        return flags == line and self.pedestrian is pedestrian

    def stopped(self) -> bool:
        return self.reads(STOP, True)

    def clear(self) -> None:
        self.town.reset()
        release(f"{VEH}/lane_guard_node/release")
        seconds_until(self.stopped, 1.0, "stopped before the check")
        self.town.level = DuckVerdict.CLEAR
        seconds_until(lambda: self.reads(CLEAR, False), 2.0, "clear readings on CLEAR verdicts")

    @undisturbed
    def test_without_verdicts_the_line_is_reached_and_said_again_and_again(self) -> None:
        self.town.reset()
        seconds_until(self.stopped, 1.0, "stopped")
        before = self.lines
        seconds_while(self.stopped, 1.0, "stopped without verdicts")
        self.assertGreaterEqual(self.lines - before, 15)

    @undisturbed
    def test_slow_is_a_line_ahead_and_no_pedestrian(self) -> None:
        self.clear()
        self.town.level = DuckVerdict.SLOW
        seconds_until(lambda: self.reads(SLOW, False), 0.3, "a line ahead on SLOW")
        self.assertEqual(self.line.stop_line_point.x, 1.0, "farther than the controller slows down for lines")

    @undisturbed
    def test_stop_is_a_line_reached_and_a_pedestrian(self) -> None:
        self.clear()
        self.town.level = DuckVerdict.STOP
        seconds_until(self.stopped, 0.3, "stopped on STOP")

    @undisturbed
    def test_a_duck_lost_under_the_bumper_needs_a_person(self) -> None:
        """Nobody tells what dt-core's controller does; it is taken to drive whenever it may."""
        self.clear()
        self.town.first.extend([DuckVerdict.STOP] * 3)  # then CLEAR again
        seconds_until(self.stopped, 0.3, "stopped on STOP")
        seconds_while(self.stopped, 1.5, "stopped while the duck may be under the bumper")
        self.assertTrue(release(f"{VEH}/lane_guard_node/release").success)
        seconds_until(lambda: self.reads(CLEAR, False), 2.0, "clear readings after the release")

    @undisturbed
    def test_silent_verdicts_are_a_line_reached(self) -> None:
        self.clear()
        self.town.level = None
        took_s = seconds_until(self.stopped, 0.5, "stopped on silence")
        print(f"measured: line reached after {took_s:.3f} s when verdicts fall silent", flush=True)

    def test_it_publishes_no_command(self) -> None:
        published = dict(rosgraph.Master(rospy.get_name()).getPublishedTopics(VEH))
        self.assertNotIn(f"{VEH}/lane_guard_node/car_cmd", published)


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "guard_reading", GuardReading)
