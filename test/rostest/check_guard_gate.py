#!/usr/bin/env python
"""The guard in mode gate with its watchdog, as robot.launch starts them: whatever dies, the wheels stand in time."""
from __future__ import annotations

import math
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rosnode
import rospy
import rostest
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import BoolStamped, WheelsCmdStamped
from rig import DRIVE_MPS, Town, Wheels, pid_of, release, send_signal
from stall_guard import seconds_until, seconds_while, undisturbed
from std_msgs.msg import String

VEH = "/duckiebot"
GUARD, WATCHDOG = f"{VEH}/lane_guard_node", f"{VEH}/watchdog_node"
EMERGENCY_STOP = f"{VEH}/wheels_driver_node/emergency_stop"
WHEELS_CMD = f"{VEH}/wheels_driver_node/wheels_cmd"
ZERO_S = 0.5  # promise 2: zero within this
BACK_S = 5.0  # and back within this of the cause's end


class GuardGate(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.init_node("check_guard_gate")
        cls.wheels = Wheels(
            f"{VEH}/lane_guard_node/car_cmd",
            f"{VEH}/car_cmd_switch_node/cmd",
            wheels_cmd=WHEELS_CMD,
            emergency_stop=EMERGENCY_STOP,
        )
        cls.town = Town(f"{VEH}/duck_protection_node/verdict", f"{VEH}/lane_controller_node/car_cmd")
        cls.person = rospy.Publisher(EMERGENCY_STOP, BoolStamped, queue_size=1)
        seconds_until(lambda: cls.wheels.commands > 20, 20, "the guard's commands")

    @staticmethod
    def told() -> str:
        """The guard's status."""
        return str(rospy.wait_for_message(f"{GUARD}/status", String, timeout=1.0).data)

    def stand(self) -> None:
        """No verdicts, nothing remembered, wheels at rest."""
        self.town.reset()
        release(f"{GUARD}/release")
        seconds_until(lambda: not self.wheels.turning, 2.0, "standing before the check")
        self.wheels.stops.clear()

    def drive(self) -> None:
        """CLEAR verdicts, and wheels that turn."""
        self.stand()
        self.town.level = DuckVerdict.CLEAR
        seconds_until(lambda: self.wheels.v_mps is not None and self.wheels.v_mps > 0.9 * DRIVE_MPS, BACK_S, "driving")

    def zero(self, limit_s: float, why: str) -> None:
        """The wheels come to zero in time, and stay there."""
        took_s = seconds_until(lambda: not self.wheels.turning, limit_s, f"zero when {why}")
        print(f"measured: zero after {took_s:.3f} s when {why}", flush=True)
        seconds_while(lambda: not self.wheels.turning, 0.5, f"zero when {why}")

    def back(self, why: str) -> None:
        """The wheels turn again by themselves in time."""
        took_s = seconds_until(lambda: self.wheels.turning, BACK_S, f"driving again after {why}")
        print(f"measured: driving again {took_s:.3f} s after {why}", flush=True)

    def drives_on(self, why: str) -> None:
        """The wheels turn, and a watchdog's first zeros between the guard's commands end."""
        stood_s = time.monotonic()

        def for_half_a_second() -> bool:
            nonlocal stood_s
            stood_s = stood_s if self.wheels.turning else time.monotonic()
            return time.monotonic() - stood_s > 0.5

        seconds_until(for_half_a_second, BACK_S, why)

    @undisturbed
    def test_without_a_verdict_nothing_moves(self) -> None:
        self.stand()
        before = self.wheels.commands
        seconds_while(lambda: not self.wheels.turning, 1.0, "zero without verdicts")
        self.assertGreaterEqual(self.wheels.commands - before, 15, "zeros are repeated at 20 Hz")

    @undisturbed
    def test_clear_verdicts_let_it_drive_but_not_before_three_frames_and_0_3_s(self) -> None:
        self.stand()
        self.town.level = DuckVerdict.CLEAR
        took_s = seconds_until(lambda: self.wheels.turning, 2.0, "driving on CLEAR")
        self.assertGreaterEqual(took_s, 0.3)
        seconds_until(lambda: abs(self.wheels.v_mps - DRIVE_MPS) < 1e-6, 0.2, "the controller's own speed")

    @undisturbed
    def test_slow_is_a_quarter_with_the_same_curvature(self) -> None:
        self.drive()
        self.town.omega_radps = 0.4
        self.town.level = DuckVerdict.SLOW
        seconds_until(lambda: abs(self.wheels.v_mps - DRIVE_MPS / 4) < 1e-6, 0.5, "a quarter of the speed")
        seconds_until(lambda: abs(self.wheels.omega_radps - 0.1) < 1e-6, 0.3, "a quarter of the turn rate")

    @undisturbed
    def test_a_fast_controller_is_capped_at_what_one_picture_allows(self) -> None:
        self.drive()
        self.town.v_mps, self.town.omega_radps = 1.0, 2.0
        seconds_until(lambda: abs(self.wheels.v_mps - 0.20) < 1e-6, 0.5, "0.08 m in 0.40 s")
        self.assertAlmostEqual(self.wheels.omega_radps, 0.40, places=5)

    @undisturbed
    def test_stop_is_zero_at_once(self) -> None:
        self.drive()
        self.town.level = DuckVerdict.STOP
        self.zero(0.25, "STOP")

    @undisturbed
    def test_unknown_is_zero_at_once(self) -> None:
        self.drive()
        self.town.level = DuckVerdict.UNKNOWN
        self.zero(0.25, "UNKNOWN")

    @undisturbed
    def test_a_level_that_does_not_exist_is_zero(self) -> None:
        self.drive()
        self.town.level = 77
        self.zero(0.25, "a level is 77")

    @undisturbed
    def test_old_frames_are_zero(self) -> None:
        self.drive()
        self.town.lag_s = 0.5
        self.zero(ZERO_S, "frames are 0.5 s old")

    @undisturbed
    def test_one_frame_for_ever_is_zero(self) -> None:
        self.drive()
        self.town.frozen_stamp = rospy.Time.now()
        self.zero(ZERO_S, "the same CLEAR frame is repeated")

    @undisturbed
    def test_silent_verdicts_are_zero(self) -> None:
        self.drive()
        self.town.level = None
        self.zero(ZERO_S, "verdicts fall silent")

    @undisturbed
    def test_a_silent_controller_is_zero(self) -> None:
        self.drive()
        self.town.v_mps = None
        self.zero(ZERO_S, "the controller falls silent")

    @undisturbed
    def test_a_controller_that_says_nan_is_zero(self) -> None:
        self.drive()
        self.town.v_mps = math.nan
        self.zero(0.25, "the controller says NaN")

    @undisturbed
    def test_killed_guard_is_zero_and_comes_back(self) -> None:
        self.drive()
        send_signal(pid_of(GUARD), signal.SIGKILL)
        self.zero(ZERO_S, "the guard was killed")
        self.back("the guard was killed")
        seconds_until(lambda: self.wheels.stops == [True, False], 1.0, "one emergency stop, taken back")

    @undisturbed
    def test_frozen_guard_is_zero_and_comes_back(self) -> None:
        self.drive()
        pid = pid_of(GUARD)
        send_signal(pid, signal.SIGSTOP)
        try:
            self.zero(ZERO_S, "the guard froze")
            seconds_while(lambda: not self.wheels.turning, 1.0, "zero while the guard is frozen")
        finally:
            send_signal(pid, signal.SIGCONT)
        self.back("the guard thawed")
        seconds_until(lambda: self.wheels.stops == [True, False], 1.0, "one emergency stop, taken back")

    @undisturbed
    def test_a_thawed_guard_does_not_repeat_its_past(self) -> None:
        self.drive()
        pid = pid_of(GUARD)
        send_signal(pid, signal.SIGSTOP)
        try:
            self.zero(ZERO_S, "the guard froze")
            self.town.level = DuckVerdict.STOP  # a duck comes while the guard is frozen, its queues full of CLEAR
            seconds_while(lambda: not self.wheels.turning, 0.5, "zero while the guard is frozen")
        finally:
            send_signal(pid, signal.SIGCONT)
        seconds_while(lambda: not self.wheels.turning, 1.0, "zero after the thaw")

    @undisturbed
    def test_a_persons_emergency_stop_survives_the_guards_death(self) -> None:
        self.drive()
        self.person.publish(BoolStamped(data=True))
        seconds_until(lambda: self.wheels.stops == [True], 1.0, "the person's stop arrives")
        send_signal(pid_of(GUARD), signal.SIGKILL)
        self.zero(ZERO_S, "the guard was killed")
        self.back("the guard was killed")
        seconds_while(lambda: self.wheels.stops == [True], 0.5, "nobody takes a person's stop back")
        self.person.publish(BoolStamped(data=False))
        seconds_until(lambda: self.wheels.stops == [True, False], 1.0, "the person's own release")

    @undisturbed
    def test_a_killed_watchdog_comes_back_and_the_guard_stops_without_it(self) -> None:
        self.drive()
        before = pid_of(WATCHDOG)
        send_signal(before, signal.SIGKILL)
        self.town.level = DuckVerdict.STOP
        self.zero(ZERO_S, "STOP without a watchdog")
        seconds_until(lambda: pid_of(WATCHDOG) not in (None, before), BACK_S, "a new watchdog")
        self.drive()
        seconds_while(lambda: self.wheels.turning, 1.0, "driving with the new watchdog")
        self.assertEqual(self.wheels.stops, [], "a new watchdog leaves the shared flag alone")

    @undisturbed
    def test_a_persons_emergency_stop_survives_the_watchdogs_death_and_then_the_guards(self) -> None:
        self.drive()
        self.person.publish(BoolStamped(data=True))
        seconds_until(lambda: self.wheels.stops == [True], 1.0, "the person's stop arrives")
        seconds_until(lambda: rospy.get_param(f"{WATCHDOG}_keepsake", "") == "theirs", 2.0, "the watchdog keeps it")
        before = pid_of(WATCHDOG)
        send_signal(before, signal.SIGKILL)
        seconds_until(lambda: pid_of(WATCHDOG) not in (None, before), BACK_S, "a new watchdog")
        self.drives_on("the new watchdog hears the guard")
        send_signal(pid_of(GUARD), signal.SIGKILL)
        self.zero(ZERO_S, "the guard was killed")
        self.back("the guard was killed")
        seconds_while(lambda: set(self.wheels.stops) == {True}, 0.5, "nobody takes a person's stop back")
        self.person.publish(BoolStamped(data=False))
        seconds_until(lambda: self.wheels.stops[-1] is False, 1.0, "the person's own release")

    @undisturbed
    def test_a_guard_that_is_told_to_end_moves_nothing_after_its_zero(self) -> None:
        self.drive()
        threading.Thread(target=rosnode.kill_nodes, args=([GUARD],), daemon=True).start()  # it returns when all is over
        self.zero(ZERO_S, "the guard was told to end")
        self.back("the guard was told to end")

    @undisturbed
    def test_wheels_whose_commands_stop_coming_are_stopped_though_the_guard_beats(self) -> None:
        """As when dt-core's switch or kinematics node dies: the guard's zeros would reach nobody."""
        self.drive()
        kinematics = rospy.Publisher(WHEELS_CMD, WheelsCmdStamped, queue_size=1, tcp_nodelay=True)
        zeros = []
        rospy.Subscriber(WHEELS_CMD, WheelsCmdStamped, lambda msg: msg.vel_left or zeros.append(time.monotonic()))
        seconds_until(lambda: kinematics.get_num_connections() >= 2, 5.0, "this process and the watchdog listen")
        for _ in range(20):
            kinematics.publish(WheelsCmdStamped(vel_left=0.3, vel_right=0.3))
            time.sleep(0.05)
        self.assertEqual(zeros, [], "commands that come are left alone")
        took_s = seconds_until(lambda: bool(zeros), ZERO_S, "zero when the last command is old")
        print(f"measured: zero {took_s:.3f} s after the last command to the wheels", flush=True)
        seconds_until(lambda: len(zeros) > 20, 2.0, "zeros go on")
        kinematics.publish(WheelsCmdStamped())
        time.sleep(0.2)
        count = len(zeros)
        seconds_while(lambda: len(zeros) == count, 0.5, "wheels that were told to stand need no more zeros")
        kinematics.unregister()

    @undisturbed
    def test_a_lost_duck_survives_the_guards_death(self) -> None:
        self.drive()
        self.town.first.extend([DuckVerdict.STOP] * 3)
        seconds_until(lambda: rospy.get_param(f"{GUARD}_keepsake", "") == "lost", 2.0, "the guard keeps it")
        before = pid_of(GUARD)
        send_signal(before, signal.SIGKILL)
        seconds_until(lambda: pid_of(GUARD) not in (None, before), BACK_S, "a new guard")
        seconds_while(lambda: not self.wheels.turning, 2.0, "zero while the duck may be under the bumper")
        self.assertTrue(release(f"{GUARD}/release").success)
        seconds_until(lambda: self.wheels.turning, 2.0, "driving after the release")

    @undisturbed
    def test_a_duck_lost_under_the_bumper_needs_a_person(self) -> None:
        self.drive()
        self.town.first.extend([DuckVerdict.STOP] * 3)  # then CLEAR again, while the robot still rolls
        seconds_until(lambda: not self.wheels.turning, 0.3, "zero on STOP")
        seconds_while(lambda: not self.wheels.turning, 1.5, "zero while the duck may be under the bumper")
        self.assertIn("lost: a duck left the picture at its bottom edge; look under the bumper", self.told())
        self.assertTrue(release(f"{GUARD}/release").success)
        seconds_until(lambda: self.wheels.turning, 2.0, "driving after the release")
        seconds_until(lambda: self.told() == "CLEAR: clear", 2.0, "the guard says that nothing holds it any more")


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "guard_gate", GuardGate)
