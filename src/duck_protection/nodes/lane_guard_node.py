"""Stands between any lane controller and the wheels, on the robot.

    Parameters: see config/lane_guard_node.yaml
    Mode gate (default), the only source of the final command:
        ~car_cmd_in (Twist2DStamped)             the controller's command
        ~car_cmd (Twist2DStamped, published)     what the governor permits of it
    Mode reading, for dt-core's own controller:
        ~obstacle_distance_reading (StopLineReading, published)   daffy: SLOW a line ahead, else stop a line reached
        ~pedestrian_detection (BoolStamped, published)            ente: true for STOP and UNKNOWN
    Both: ~verdict (DuckVerdict) in; ~heartbeat (Header) and ~status (String, latched: what is permitted, and why) out;
        ~release (Trigger): a person has looked under the bumper

Promise: one message per tick, zeros and stops included, whatever has fallen silent.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, Tuple

import rospy
from duckietown_msgs.msg import BoolStamped, StopLineReading, Twist2DStamped

from duck_protection.fresh import Fresh
from duck_protection.governor import Limits
from duck_protection.nodes import robot_messages
from duck_protection.nodes.governed_drive import GovernedDrive, GovernorPort
from duck_protection.nodes.ros_node import every, run_node, taken
from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from
from duck_protection.verdict import Level

STILL = (0.0, 0.0)
ASSUMED = (0.1, 0.0)  # in mode reading nobody tells what the controller does: it drives whenever it is let


@dataclass(frozen=True)
class Settings:
    """Reasons stand in config/lane_guard_node.yaml."""

    mode: str = "gate"
    rate_hz: float = 20.0
    command_silence_s: float = 0.25

    RANGES: ClassVar[RangeTable] = {"rate_hz": (10.0, 100.0), "command_silence_s": (0.05, 1.0)}

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.mode not in ("gate", "reading"):
            raise SettingsError(f"mode must be gate or reading, is {self.mode!r}")


class Gate:
    """Lets a controller's command through as far as it is permitted, and nothing when it falls silent."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._command: Fresh[Tuple[float, float]] = Fresh(settings.command_silence_s)
        self._drive = GovernedDrive(limits)
        rospy.Subscriber("~car_cmd_in", Twist2DStamped, self._take, queue_size=1, tcp_nodelay=True)

    def tick(self) -> None:
        """One command out."""
        self._drive.drive(*(self._command.at(time.monotonic()) or STILL))

    def _take(self, msg: Twist2DStamped) -> None:
        self._command.put(robot_messages.car_command(msg), time.monotonic())


class Reading:
    """Tells dt-core's controller what it may do; that controller never times out, so this one never falls silent."""

    def __init__(self, limits: Limits) -> None:
        self._stop_line = rospy.Publisher("~obstacle_distance_reading", StopLineReading, queue_size=1)
        self._pedestrian = rospy.Publisher("~pedestrian_detection", BoolStamped, queue_size=1)
        self._port = GovernorPort(limits)

    def tick(self) -> None:
        """One reading of each kind out."""
        permit = self._port.command(*ASSUMED)[2]
        self._stop_line.publish(robot_messages.stop_line_reading(permit.level))
        self._pedestrian.publish(robot_messages.flag(permit.level in (Level.STOP, Level.UNKNOWN)))
        self._port.beat(permit)


def start(parameters: Dict[str, Any]) -> None:
    """Runs the guard until the node ends."""
    limits = settings_from(Limits, taken(parameters, "governor"))
    settings = settings_from(Settings, parameters)
    tick: Callable[[], None] = Gate(settings, limits).tick if settings.mode == "gate" else Reading(limits).tick
    every(1 / settings.rate_hz, tick)


def main() -> None:
    """The executable."""
    run_node("lane_guard_node", start)
