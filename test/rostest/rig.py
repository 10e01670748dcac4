"""A robot without a robot, for the checks of the guard, the follower and the watchdog.

The wheels obey the newest command of either kind and keep it for ever, as the real driver does. Verdicts, commands
and lane poses come at 20 Hz from one thread; a check changes what they say, or silences them.
"""
from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import deque
from typing import Any, Optional
from xmlrpc.client import ServerProxy

import rosgraph
import rospy
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import BoolStamped, LanePose, Twist2DStamped, WheelsCmdStamped
from std_srvs.srv import Trigger

RATE_HZ = 20.0
DRIVE_MPS = 0.15


class Wheels:
    """What moves, and who said what about the emergency stop. All times are monotonic."""

    def __init__(self, *car_cmds: str, wheels_cmd: str = "", emergency_stop: str = "") -> None:
        self.v_mps: Optional[float] = None  # None: no command yet
        self.omega_radps = 0.0
        self.commands = 0
        self.stops: list[bool] = []
        for topic in car_cmds:
            rospy.Subscriber(topic, Twist2DStamped, self._car, tcp_nodelay=True)
        if wheels_cmd:
            rospy.Subscriber(wheels_cmd, WheelsCmdStamped, self._wheels, tcp_nodelay=True)
        if emergency_stop:
            rospy.Subscriber(emergency_stop, BoolStamped, lambda msg: self.stops.append(msg.data))

    @property
    def turning(self) -> bool:
        """Whether the command in force moves anything."""
        return bool(self.v_mps) or bool(self.omega_radps)

    def _car(self, msg: Twist2DStamped) -> None:
        assert math.isfinite(msg.v) and math.isfinite(msg.omega)
        self.v_mps, self.omega_radps, self.commands = msg.v, msg.omega, self.commands + 1

    def _wheels(self, msg: WheelsCmdStamped) -> None:
        self.v_mps, self.omega_radps = (msg.vel_left + msg.vel_right) / 2, msg.vel_left - msg.vel_right
        self.commands += 1


class Town:
    """Sends verdicts, controller commands and lane poses, each while it is wanted."""

    def __init__(self, verdict: str, command: str = "", lane_pose: str = "") -> None:
        self.level: Optional[int] = None  # None: silence
        self.first: deque[int] = deque()  # levels that are said before that, one a verdict
        self.lag_s = 0.0  # how old each judged frame is
        self.frozen_stamp: Optional[rospy.Time] = None  # the same frame for ever
        self.v_mps: Optional[float] = DRIVE_MPS
        self.omega_radps = 0.0
        self.pose: Optional[LanePose] = LanePose(in_lane=True)
        self.pose_lag_s = 0.0
        self._verdicts = rospy.Publisher(verdict, DuckVerdict, queue_size=10, tcp_nodelay=True)
        self._commands = command and rospy.Publisher(command, Twist2DStamped, queue_size=1, tcp_nodelay=True)
        self._poses = lane_pose and rospy.Publisher(lane_pose, LanePose, queue_size=1, tcp_nodelay=True)
        threading.Thread(target=self._run, daemon=True).start()

    def reset(self) -> None:
        """Everything silent but the controller: the governor forgets."""
        self.level, self.lag_s, self.frozen_stamp, self.v_mps, self.omega_radps = None, 0.0, None, DRIVE_MPS, 0.0
        self.pose, self.pose_lag_s = LanePose(in_lane=True), 0.0

    def _run(self) -> None:
        while not rospy.is_shutdown():
            self._send()
            time.sleep(1 / RATE_HZ)

    def _send(self) -> None:
        now = rospy.Time.now()
        level, command_mps, pose = self.first.popleft() if self.first else self.level, self.v_mps, self.pose
        if level is not None:
            verdict = DuckVerdict(level=level, reason="check: as told")
            verdict.header.stamp = self.frozen_stamp or now - rospy.Duration.from_sec(self.lag_s)
            self._verdicts.publish(verdict)
        if self._commands and command_mps is not None:
            command = Twist2DStamped(v=command_mps, omega=self.omega_radps)
            command.header.stamp = now
            self._commands.publish(command)
        if self._poses and pose is not None:
            pose.header.stamp = now - rospy.Duration.from_sec(self.pose_lag_s)
            self._poses.publish(pose)


def pid_of(node: str) -> Optional[int]:
    """The process of a node, by asking it; None when it is not there (yet)."""
    try:
        code, _, uri = ServerProxy(rosgraph.get_master_uri()).lookupNode(rospy.get_name(), node)
        return int(ServerProxy(uri).getPid(rospy.get_name())[2]) if code == 1 else None
    except OSError:
        return None


def send_signal(pid: int, number: signal.Signals) -> None:
    """Kills, stops or continues a process that a launch file of ours started."""
    os.kill(pid, number)


def release(service: str) -> Any:
    """A person has looked under the bumper."""
    rospy.wait_for_service(service, timeout=5)
    return rospy.ServiceProxy(service, Trigger)()
