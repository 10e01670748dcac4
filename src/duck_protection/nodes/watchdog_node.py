"""Stops the wheels when the guard's heartbeat falls silent, or when what is between guard and wheels (dt-core's switch,
its kinematics) passes nothing on: the wheels driver keeps its last command for ever.

A process of its own, and a small one: it needs neither verdicts nor poses. Guard and watchdog dead at once is not
covered.

    Parameters: see config/watchdog_node.yaml
    Subscribers: ~heartbeat (Header), of the node that drives
    Publishers:  ~car_cmd (Twist2DStamped), zeros, only in silence
    Both:        ~wheels_cmd (WheelsCmdStamped): what others tell the wheels, and zeros in silence
                 ~emergency_stop (BoolStamped), the flag shared with the joystick: deadman.py says when

Promise: from silence_s of silence on, zeros at every tick, until the heartbeat is back; likewise after wheels_silence_s
without a command to wheels that were last told to turn.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

import rospy
from duckietown_msgs.msg import BoolStamped, Twist2DStamped, WheelsCmdStamped
from std_msgs.msg import Header

from duck_protection.deadman import Deadman, Orders
from duck_protection.nodes import robot_messages
from duck_protection.nodes.keepsake import Keepsake
from duck_protection.nodes.ros_node import every, run_node
from duck_protection.settings import RangeTable, check_ranges, settings_from


@dataclass(frozen=True)
class Settings:
    """Reasons stand in config/watchdog_node.yaml."""

    rate_hz: float = 20.0
    silence_s: float = 0.2
    wheels_silence_s: float = 0.3

    RANGES: ClassVar[RangeTable] = {
        "rate_hz": (10.0, 100.0), "silence_s": (0.1, 0.4), "wheels_silence_s": (0.1, 3600.0),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)


class Watchdog:
    """Hears, and stops the wheels when there is nothing to hear."""

    def __init__(self, settings: Settings) -> None:
        self._keepsake = Keepsake()
        self._deadman = Deadman(settings.silence_s, settings.wheels_silence_s, self._keepsake.recalled())
        self._lock = threading.Lock()
        self._why = ""
        self._car_cmd = rospy.Publisher("~car_cmd", Twist2DStamped, queue_size=1, tcp_nodelay=True)
        self._wheels_cmd = rospy.Publisher("~wheels_cmd", WheelsCmdStamped, queue_size=1, tcp_nodelay=True)
        # latched: a wheels driver that starts later still hears the last word
        self._emergency_stop = rospy.Publisher("~emergency_stop", BoolStamped, queue_size=1, latch=True)
        rospy.Subscriber("~emergency_stop", BoolStamped, self._flag)
        rospy.Subscriber("~heartbeat", Header, self._beat, queue_size=1, tcp_nodelay=True)
        rospy.Subscriber("~wheels_cmd", WheelsCmdStamped, self._wheels, queue_size=1, tcp_nodelay=True)

    def tick(self) -> None:
        """Zeros in silence; nothing otherwise."""
        with self._lock:
            orders = self._deadman.orders(time.monotonic())
            self._keepsake.keep(self._deadman.remembered)
        if orders.zero:
            self._car_cmd.publish(robot_messages.car_cmd(0.0, 0.0))
            self._wheels_cmd.publish(robot_messages.wheels_zero())
        if orders.emergency_stop is not None:
            self._emergency_stop.publish(robot_messages.flag(orders.emergency_stop))
        self._log(orders)

    def _beat(self, _: Header) -> None:
        with self._lock:
            self._deadman.beat(time.monotonic())

    def _wheels(self, msg: WheelsCmdStamped) -> None:
        if robot_messages.sender(msg) != rospy.get_name():
            with self._lock:
                self._deadman.wheels(robot_messages.turning(msg), time.monotonic())

    def _flag(self, msg: BoolStamped) -> None:
        if robot_messages.sender(msg) != rospy.get_name():
            with self._lock:
                self._deadman.others_said(msg.data)

    def _log(self, orders: Orders) -> None:
        if orders.why != self._why:
            self._why = orders.why
            rospy.logwarn(f"{orders.why}: zeros to the wheels" if orders.why else "the wheels are governed again")


def start(parameters: Dict[str, Any]) -> None:
    """Runs the watchdog until the node ends."""
    settings = settings_from(Settings, parameters)
    every(1 / settings.rate_hz, Watchdog(settings).tick)


def main() -> None:
    """The executable."""
    run_node("watchdog_node", start)
