"""The governor as ROS knows it: verdicts and a person's release come in, the permitted command goes out, and why.

Shared by the two nodes that drive. Promise: each drive() publishes exactly one command and one heartbeat, zeros
included, and nothing else in the process publishes commands; ~status tells a change of level or of its cause.
"""
from __future__ import annotations

import threading
import time
from typing import Optional, Tuple

import rospy
from duckietown_msgs.msg import Twist2DStamped
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger, TriggerRequest, TriggerResponse

from duck_protection.governor import Governor, Limits, Permit
from duck_protection.msg import DuckVerdict
from duck_protection.nodes import robot_messages
from duck_protection.nodes.keepsake import Keepsake
from duck_protection.nodes.links import LinkWatch
from duck_protection.verdict import Level

LAST_ZERO_S = 0.05
TELL_S = 0.5  # a level that flickers is told at most this often


class GovernorPort:
    """Feeds a governor from ~verdict and ~release, says ~heartbeat, and what changes in ~status and the log."""

    def __init__(self, limits: Limits) -> None:
        self._keepsake = Keepsake()
        self._governor = Governor(limits, self._keepsake.recalled())
        self._lock = threading.Lock()
        self._told: Optional[Tuple[Level, str]] = None  # the level, and what its reason begins with: its cause
        self._told_mono_s = 0.0
        self._status = rospy.Publisher("~status", String, queue_size=1, latch=True)
        self._heartbeat = rospy.Publisher("~heartbeat", Header, queue_size=1, tcp_nodelay=True)
        LinkWatch(rospy.Subscriber("~verdict", DuckVerdict, self._hear, tcp_nodelay=True)).start()
        rospy.Service("~release", Trigger, self._release)
        rospy.loginfo("at most %.2f m/s: %.2f m on a picture up to %.2f s old",
                      limits.cap_mps, limits.blind_m, limits.max_age_s)  # fmt: skip

    def command(self, v_mps: float, omega_radps: float) -> tuple[float, float, Permit]:
        """The command as permitted now."""
        with self._lock:
            return self._governor.command(v_mps, omega_radps, rospy.get_time(), time.monotonic())

    def beat(self, permit: Permit) -> None:
        """Says that the loop has run and its command is out, and only then what has changed."""
        self._heartbeat.publish(robot_messages.now_header())
        self._tell(permit)

    def _hear(self, msg: DuckVerdict) -> None:
        level, stamp_s = robot_messages.verdict_evidence(msg)
        with self._lock:
            self._governor.hear(level, stamp_s, rospy.get_time(), time.monotonic())
            self._keepsake.keep(self._governor.remembered)

    def _release(self, _: TriggerRequest) -> TriggerResponse:
        with self._lock:
            self._governor.release()
            self._keepsake.keep(self._governor.remembered)
        rospy.logwarn("released by a person")
        return TriggerResponse(True, "released; the usual evidence is still needed")

    def _tell(self, permit: Permit) -> None:
        mono_s = time.monotonic()
        now = permit.level, permit.reason.partition(":")[0]
        if now != self._told and mono_s - self._told_mono_s >= TELL_S:
            self._told, self._told_mono_s = now, mono_s
            self._status.publish(String(f"{permit.level.name}: {permit.reason}"))
            rospy.loginfo("%s (%s)", permit.level.name, permit.reason)


class GovernedDrive:
    """The only publisher of ~car_cmd."""

    def __init__(self, limits: Limits) -> None:
        self._car_cmd = rospy.Publisher("~car_cmd", Twist2DStamped, queue_size=1, tcp_nodelay=True)
        self._port = GovernorPort(limits)
        self._ends = False
        rospy.on_shutdown(self._last_zero)

    def drive(self, v_mps: float, omega_radps: float) -> float:
        """Publishes what is permitted of this command, and the heartbeat; the speed that was permitted (m/s)."""
        v_mps, omega_radps, permit = self._port.command(v_mps, omega_radps)
        if self._ends:  # rospy runs the shutdown's hooks while the loop goes on
            v_mps = omega_radps = 0.0
        self._car_cmd.publish(robot_messages.car_cmd(v_mps, omega_radps))
        self._port.beat(permit)
        return v_mps

    def _last_zero(self) -> None:
        """An orderly end need not wait for the watchdog. On a thread of its own: the signal that ends the node may
        have come in the middle of a publish()."""
        self._ends = True
        zero = threading.Thread(target=self._send_zero, daemon=True)
        zero.start()
        zero.join(LAST_ZERO_S * 2)

    def _send_zero(self) -> None:
        for _ in range(2):  # the loop's last command may have been under way
            self._car_cmd.publish(robot_messages.car_cmd(0.0, 0.0))
            time.sleep(LAST_ZERO_S / 2)  # rospy's sender thread takes it from here; then the connections are closed
