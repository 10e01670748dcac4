#!/usr/bin/env python
"""Ten of the campaign's short drives through the real nodes: no duck is hit that perfect eyes would spare."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rospy
import rostest
from duck_protection.msg import TownTruth
from stall_guard import seconds_until

from duck_protection.episodes.drive import Drive, Timing, blind, perfect
from duck_protection.simulation.staging import stage_named

START_LIMIT_S = 60.0  # a model on one busy core; nothing here is a deadline of safety


class Episodes(unittest.TestCase):
    def setUp(self) -> None:
        rospy.init_node("check_episodes")
        self.truth: Optional[TownTruth] = None
        rospy.Subscriber("/duckiebot/sim_node/truth", TownTruth, self.see)
        self.stages = [stage_named(name) for name in rospy.get_param("~stages").split(",")]
        self.stage_s = rospy.get_param("~stage_s")

    def see(self, truth: TownTruth) -> None:
        self.truth = truth

    def test_no_duck_is_hit_that_perfect_eyes_would_spare(self) -> None:
        timing = Timing(seconds=self.stage_s)
        unprotected = sum(Drive(stage, blind, timing).run().hits for stage in self.stages)
        ideal = sum(Drive(stage, perfect, timing).run().hits for stage in self.stages)
        self.assertGreaterEqual(unprotected, 3, "these stages would prove nothing")
        seconds_until(lambda: self.truth is not None and self.truth.travelled_m > 0, START_LIMIT_S, "driving")
        rospy.sleep(self.stage_s * len(self.stages))
        seen = self.truth
        print(f"measured: {seen.ducks_hit} hit, {seen.flank_hits} flanked, {seen.ducks_met} met, "
              f"{seen.travelled_m:.1f} m; unprotected {unprotected} hit, perfect eyes {ideal}", flush=True)  # fmt: skip
        self.assertLessEqual(seen.ducks_hit, ideal)
        self.assertGreater(seen.travelled_m, 1.0, "a robot that stands hits nobody")
        self.assertGreaterEqual(seen.ducks_met, 3)


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "episodes", Episodes)
