#!/usr/bin/env python
"""A lost master alone does not stop fresh verdicts, and a new one knows every node again within five seconds."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import List, Set, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rospy
import rostest
from duck_protection.msg import DuckVerdict
from rig import Town, Wheels, pid_of, release, send_signal
from stall_guard import seconds_until, seconds_while, undisturbed

from duck_protection.nodes.master import FAILURES, MasterWatch, proxy

VEH = "/duckiebot"
GUARD, WATCHDOG = f"{VEH}/lane_guard_node", f"{VEH}/watchdog_node"
VERDICT = f"{VEH}/duck_protection_node/verdict"
AWAY_S = 2.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MasterRestart(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.port = free_port()
        os.environ["ROS_MASTER_URI"] = f"http://localhost:{cls.port}"
        cls.processes: List[subprocess.Popen] = []
        cls.addClassCleanup(cls.end_processes)  # after a failure in here, too
        cls.start_master()
        cls.start("roslaunch", "--wait", "duck_protection", "robot.launch", f"veh:={VEH[1:]}")
        rospy.init_node("check_master_restart")
        MasterWatch({}).start()  # this process publishes too
        cls.wheels = Wheels(
            f"{GUARD}/car_cmd", f"{VEH}/car_cmd_switch_node/cmd", wheels_cmd=f"{VEH}/wheels_driver_node/wheels_cmd"
        )
        cls.town = Town(VERDICT, f"{VEH}/lane_controller_node/car_cmd")
        seconds_until(lambda: cls.wheels.commands > 20, 20, "the guard's commands")
        seconds_until(lambda: pid_of(WATCHDOG) is not None, 20, "the watchdog")

    @classmethod
    def end_processes(cls) -> None:
        for process in reversed(cls.processes):  # the nodes first
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)

    @classmethod
    def start(cls, *command: str) -> subprocess.Popen:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        cls.processes.append(process)
        return process

    @classmethod
    def start_master(cls) -> None:
        cls.master = cls.start("roscore", "-p", str(cls.port))
        seconds_until(cls.answers, 20, "a master that answers")

    @classmethod
    def stop_master(cls) -> None:
        cls.processes.remove(cls.master)
        cls.master.send_signal(signal.SIGINT)
        cls.master.wait(timeout=20)

    @classmethod
    def answers(cls) -> bool:
        try:
            return proxy(os.environ["ROS_MASTER_URI"]).getPid("/check")[0] == 1
        except FAILURES:
            return False

    def known(self) -> Set[Tuple[str, str, str]]:
        """What the master knows of our nodes: (topics published, subscribed or services; name; node)."""
        state = proxy(os.environ["ROS_MASTER_URI"]).getSystemState("/check")[2]
        kinds = zip(("published", "subscribed", "served"), state)
        return {
            (kind, name, node) for kind, rows in kinds for name, nodes in rows for node in nodes
            if node in (GUARD, WATCHDOG, rospy.get_name())
        }  # fmt: skip

    def drive(self) -> None:
        self.town.reset()
        release(f"{GUARD}/release")
        seconds_until(lambda: not self.wheels.turning, 2.0, "standing before the check")
        self.town.level = DuckVerdict.CLEAR
        seconds_until(lambda: self.wheels.turning, 5.0, "driving")

    def levels_change(self, when: str) -> None:
        """STOP and on again: each change is logged, and rospy's log asks the master for a parameter."""
        self.town.level = DuckVerdict.STOP
        seconds_until(lambda: not self.wheels.turning, 0.25, f"zero on STOP {when}")
        seconds_while(lambda: not self.wheels.turning, 0.7, f"zero on STOP {when}")
        self.town.level = DuckVerdict.CLEAR
        seconds_until(lambda: self.wheels.turning, 2.0, f"driving again {when}")
        seconds_while(lambda: self.wheels.turning, 1.0, f"driving {when}")

    @undisturbed
    def test_fresh_verdicts_drive_on_without_a_master_and_a_new_one_knows_everybody(self) -> None:
        self.drive()
        pids, before = (pid_of(GUARD), pid_of(WATCHDOG)), self.known()
        self.stop_master()
        try:
            seconds_while(lambda: self.wheels.turning, AWAY_S, "driving without a master")
            self.levels_change("without a master")
        finally:
            self.start_master()
        took_s = seconds_until(lambda: before <= self.known(), 5.0, f"registered: {before - self.known()}")
        print(f"measured: every registration is back {took_s:.3f} s after the master", flush=True)
        self.assertTrue(self.wheels.turning)
        self.assertEqual((pid_of(GUARD), pid_of(WATCHDOG)), pids, "registered in place, by the same processes")
        self.newcomers_find_everything()

    def newcomers_find_everything(self) -> None:
        """What registration is for: topics, services and parameters are found by those who come after."""
        command = ["rostopic", "echo", "-n", "1", f"{GUARD}/heartbeat/stamp"]
        heard = subprocess.run(command, timeout=15, capture_output=True, text=True, check=False)
        self.assertIn("secs", heard.stdout, heard.stderr)
        self.assertEqual(rospy.get_param(f"{GUARD}/governor/max_age_s"), 0.4, "a respawned guard finds its settings")
        self.assertTrue(release(f"{GUARD}/release").success)

    @undisturbed
    def test_a_publisher_that_the_new_master_knew_first_is_heard(self) -> None:
        """The master tells about publishers that come later; the earlier ones are in its answer to the registration."""
        self.drive()
        guard = pid_of(GUARD)
        self.stop_master()
        send_signal(guard, signal.SIGSTOP)
        try:
            self.start_master()
            stranger = self.start("rostopic", "pub", "-r", "10", VERDICT, "duck_protection/DuckVerdict", "{level: 0}")
            seconds_until(self.all_but_the_guard_are_known, 20.0, "a stranger that says UNKNOWN")
        finally:
            send_signal(guard, signal.SIGCONT)
        try:
            seconds_until(self.wheels_stand_for_a_second, 5.0, "the stranger's UNKNOWN between our CLEARs stops")
        finally:
            stranger.send_signal(signal.SIGINT)
            stranger.wait(timeout=10)
            self.processes.remove(stranger)
        seconds_until(lambda: self.wheels.turning, 5.0, "driving without the stranger")

    def wheels_stand_for_a_second(self) -> bool:
        end_s = time.monotonic() + 1.0  # three times what CLEAR verdicts alone need to start the wheels
        while time.monotonic() < end_s:
            if self.wheels.turning:
                return False
            time.sleep(0.005)
        return True

    def all_but_the_guard_are_known(self) -> bool:
        """The stranger and we ourselves publish: no later registration will tell the guard about either."""
        published = dict(proxy(os.environ["ROS_MASTER_URI"]).getSystemState("/check")[2][0])
        return len(published.get(VERDICT, [])) == 2

    @undisturbed
    def test_a_frozen_master_stops_nobody(self) -> None:
        self.drive()
        pid = proxy(os.environ["ROS_MASTER_URI"]).getPid("/check")[2]
        send_signal(pid, signal.SIGSTOP)
        try:
            seconds_while(lambda: self.wheels.turning, AWAY_S, "driving with a frozen master")
            self.levels_change("with a frozen master")
        finally:
            send_signal(pid, signal.SIGCONT)
        seconds_while(lambda: self.wheels.turning, AWAY_S, "driving after the thaw")


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "master_restart", MasterRestart)
