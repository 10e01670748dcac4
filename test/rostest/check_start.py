#!/usr/bin/env python
"""Starting loudly, and keeping time: a bad setting ends a node with one line; a clock that stands, or a log that cannot
be written, does not stop it."""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parent))

import roslib.packages
import rospy
import rostest
from rig import Wheels
from stall_guard import seconds_until, seconds_while, undisturbed

REFUSALS = [
    ("lane_guard_node", {"governor": {"max_age_s": 9.0}}, "max_age_s must be from 0.05 to 2.0, is 9.0"),
    ("lane_guard_node", {"governor": {"max_agee_s": 0.4}}, "unknown setting 'max_agee_s'"),
    ("lane_guard_node", {"governor": 0.4}, "governor must be a group of settings, is 0.4"),
    ("lane_guard_node", {"mode": "gates"}, "mode must be gate or reading, is 'gates'"),
    ("lane_guard_node", {"rate_hz": "fast"}, "rate_hz must be of type float, is 'fast'"),
    ("lane_follower_node", {"controller": {"v_mps": 3.0}}, "v_mps must be from 0.0 to 1.0, is 3.0"),
    ("lane_follower_node", {"v_mps": 0.2}, "unknown setting 'v_mps'"),
    ("watchdog_node", {"silence_s": 0.6}, "silence_s must be from 0.1 to 0.4, is 0.6"),
]


def executable(name: str, *arguments: str) -> list:
    return [roslib.packages.find_node("duck_protection", f"{name}.py")[0], *arguments]


def listens(pid: int) -> List[str]:
    """The addresses of the process's listening TCP sockets, one for each; an IPv6 one as Linux writes it."""
    own = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:  # 0A: listening
                address = fields[1].split(":")[0]
                found.append(socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address)
    return found


class Start(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.init_node("check_start")

    def refused(self, kind: str, name: str, settings: Dict[str, Any]) -> str:
        """The one fatal line of a node that must not start."""
        rospy.set_param(f"/{name}", settings)
        wheels = Wheels(f"/{name}/car_cmd", wheels_cmd=f"/{name}/wheels_cmd")
        command = executable(kind, f"__name:={name}")
        ended = subprocess.run(command, timeout=20, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 2, ended.stderr)
        self.assertEqual(wheels.commands, 0, "nothing is published before the refusal")
        fatal = [line for line in (ended.stdout + ended.stderr).splitlines() if "FATAL" in line]
        self.assertEqual(len(fatal), 1, ended.stderr)
        self.assertNotIn("Traceback", ended.stderr)
        return fatal[0]

    def test_a_bad_setting_is_refused_in_one_line_with_key_range_and_value(self) -> None:
        for number, (kind, settings, expected) in enumerate(REFUSALS):
            with self.subTest(kind=kind, settings=settings):
                line = self.refused(kind, f"refused_{number}", settings)
                self.assertIn(f"/refused_{number} does not start: {expected}", line)

    def test_a_bug_in_a_nodes_beat_ends_the_node(self) -> None:
        """A node that lives on without its beat would be dead and not be started again."""
        ended = subprocess.run(executable("broken_stub"), timeout=20, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("IndexError", ended.stderr)

    @undisturbed
    def test_without_a_clock_the_guard_still_says_zero_at_its_rate(self) -> None:
        """rospy's timers and rates stand still under /use_sim_time without /clock."""
        rospy.set_param("/use_sim_time", True)
        wheels = Wheels("/clockless/car_cmd")
        guard = subprocess.Popen(executable("lane_guard_node", "__name:=clockless"))
        try:
            seconds_until(lambda: wheels.commands > 0, 20, "the guard's commands")
            before = wheels.commands
            seconds_while(lambda: not wheels.turning, 1.0, "zero without a clock")
            self.assertGreaterEqual(wheels.commands - before, 15)
        finally:
            rospy.delete_param("/use_sim_time")
            guard.terminate()
            self.assertEqual(guard.wait(timeout=10), 0, "an orderly end")

    @undisturbed
    def test_a_guard_starts_and_goes_on_when_not_a_line_can_be_logged(self) -> None:
        """On a full disk a log line raised: roslaunch started the guard again and again, and each died at its first."""
        wheels = Wheels("/speechless/car_cmd")
        with Path("/dev/full").open("wb", buffering=0) as full:
            guard = subprocess.Popen(executable("lane_guard_node", "__name:=speechless"), stdout=full, stderr=full,
                                     env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
        try:
            seconds_until(lambda: wheels.commands > 20, 20, "the guard's commands")
            self.assertIsNone(guard.poll())
        finally:
            guard.terminate()
            self.assertEqual(guard.wait(timeout=10), 0, "an orderly end")

    def test_on_a_loopback_ros_a_node_listens_on_loopback_alone(self) -> None:
        """As README's table of ports says; ./run and this test set ROS_HOSTNAME=localhost."""
        wheels = Wheels("/listening/car_cmd")
        node = subprocess.Popen(executable("watchdog_node", "__name:=listening"))
        try:
            # all is registered then: rospy never ends when it is told to in the middle of a registration
            seconds_until(lambda: wheels.commands > 0, 20, "the node's zeros")
            # the XML-RPC server's and TCPROS's; the second comes a moment after the node's name is known
            seconds_until(lambda: len(listens(node.pid)) >= 2, 10, "both of its sockets")
            self.assertEqual(listens(node.pid), ["127.0.0.1"] * 2)
        finally:
            node.terminate()
            node.wait(timeout=10)

    @undisturbed
    def test_a_node_whose_name_is_taken_ends(self) -> None:
        """Two guards of one name would both command the wheels."""
        wheels = Wheels("/twin/car_cmd")
        first = subprocess.Popen(executable("watchdog_node", "__name:=twin"))
        second = None
        try:
            seconds_until(lambda: wheels.commands > 0, 20, "the first one's zeros")
            second = subprocess.Popen(executable("watchdog_node", "__name:=twin"))
            seconds_until(lambda: first.poll() is not None, 20, "the end of the first one")
            before = wheels.commands
            seconds_until(lambda: wheels.commands > before, 20, "the second one's zeros")
            self.assertIsNone(second.poll())
        finally:
            for process in filter(None, (first, second)):
                process.terminate()
                process.wait(timeout=10)


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "start", Start)
