#!/usr/bin/env python
"""A short drive in the simulated town, shipped duckling, every node: it stops before a duck, and goes on."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rospy
import rostest
from duck_protection.msg import DuckVerdict, TownTruth
from stall_guard import seconds_until

TOWN, PROTECTION = "/duckiebot/sim_node/truth", "/duckiebot/duck_protection_node/verdict"
NEAR_M = 0.55  # STOP begins at 0.45 m; on a slow machine late frames may halt the robot a little before
START_LIMIT_S, DRIVE_LIMIT_S = 60.0, 60.0  # a model on one busy core; nothing here is a deadline of safety


class Drive(unittest.TestCase):
    def setUp(self) -> None:
        rospy.init_node("check_drive")
        self.truth: Optional[TownTruth] = None
        self.level = DuckVerdict.UNKNOWN
        self.stopped_at_m: List[float] = []
        rospy.Subscriber(TOWN, TownTruth, self.see)
        rospy.Subscriber(PROTECTION, DuckVerdict, self.hear)

    def see(self, truth: TownTruth) -> None:
        self.truth = truth
        if truth.command_mps == 0.0 and self.level == DuckVerdict.STOP and truth.travelled_m > 0.1:
            self.stopped_at_m.append(truth.nearest_m)

    def hear(self, verdict: DuckVerdict) -> None:
        self.level = verdict.level

    def travelled(self, metres: float) -> bool:
        return self.truth is not None and self.truth.travelled_m > metres

    def test_it_drives_stops_before_a_duck_and_drives_on(self) -> None:
        seconds_until(lambda: self.travelled(0.1), START_LIMIT_S, "driving")
        seconds_until(lambda: min(self.stopped_at_m, default=9.0) < NEAR_M, DRIVE_LIMIT_S, "a stop before a duck")
        print(f"measured: standing on STOP with a duck at {min(self.stopped_at_m):.2f} m", flush=True)
        self.assertGreater(min(self.stopped_at_m), 0.02)
        stood_at_m = self.truth.travelled_m
        seconds_until(lambda: self.travelled(stood_at_m + 0.05), DRIVE_LIMIT_S, "driving on when the duck has gone")
        self.assertEqual((self.truth.ducks_hit, self.truth.flank_hits), (0, 0))


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "drive", Drive)
