"""Follows the lane by itself, with the governor inside: our own controller, for robots without dt-core.

    Parameters: see config/lane_follower_node.yaml
    Subscribers: ~lane_pose (LanePose), ~verdict (DuckVerdict)
    Publishers:  ~car_cmd (Twist2DStamped), ~heartbeat (Header), both at every tick; ~status (String, latched): what is
                 permitted, and why
    Services:    ~release (Trigger): a person has looked under the bumper

Promise: a command at every tick, and zeros whenever lane pose or verdict is missing, late or strange.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Optional

import rospy
from duckietown_msgs.msg import LanePose as LanePoseMsg

from duck_protection.fresh import Fresh
from duck_protection.governor import Limits
from duck_protection.lane_control import Gains, LaneController, LanePose
from duck_protection.nodes import robot_messages
from duck_protection.nodes.governed_drive import GovernedDrive
from duck_protection.nodes.ros_node import every, run_node, taken
from duck_protection.settings import RangeTable, check_ranges, settings_from


@dataclass(frozen=True)
class Settings:
    """Reasons stand in config/lane_follower_node.yaml."""

    rate_hz: float = 20.0
    pose_max_age_s: float = 0.25
    future_s: float = 0.05

    RANGES: ClassVar[RangeTable] = {
        "rate_hz": (10.0, 100.0), "pose_max_age_s": (0.05, 1.0), "future_s": (0.0, 0.5)
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)


class LaneFollower:
    """Turns the newest lane pose into the permitted command, tick by tick."""

    def __init__(self, settings: Settings, gains: Gains, limits: Limits) -> None:
        self._settings = settings
        self._controller = LaneController(gains)
        self._pose: Fresh[LanePose] = Fresh(settings.pose_max_age_s)
        self._driven_m = 0.0  # in the last tick
        self._drive = GovernedDrive(limits)
        rospy.Subscriber("~lane_pose", LanePoseMsg, self._take, queue_size=1, tcp_nodelay=True)

    def tick(self) -> None:
        """One command out."""
        v_mps = self._drive.drive(*self._controller.steer(self._fresh_pose(), self._driven_m))
        self._driven_m = abs(v_mps) / self._settings.rate_hz

    def _fresh_pose(self) -> Optional[LanePose]:
        """The newest pose, when it came lately and its stamp, by the robot's clock, says so too."""
        pose = self._pose.at(time.monotonic())
        if pose is None:
            return None
        age_s = rospy.get_time() - pose.stamp_s
        return pose if -self._settings.future_s <= age_s <= self._settings.pose_max_age_s else None

    def _take(self, msg: LanePoseMsg) -> None:
        self._pose.put(robot_messages.lane_pose(msg), time.monotonic())


def start(parameters: Dict[str, Any]) -> None:
    """Runs the follower until the node ends."""
    limits = settings_from(Limits, taken(parameters, "governor"))
    gains = settings_from(Gains, taken(parameters, "controller"))
    settings = settings_from(Settings, parameters)
    every(1 / settings.rate_hz, LaneFollower(settings, gains, limits).tick)


def main() -> None:
    """The executable."""
    run_node("lane_follower_node", start)
