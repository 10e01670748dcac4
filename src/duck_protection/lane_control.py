"""Where to steer, given where the robot is in its lane. How fast is the governor's matter.

Answers with a curvature law: the path's bend is fed forward, offset and heading are fed back per metre driven, so
that the same line is driven at every speed that the governor permits. Knows no ROS and no clock. Promise: finite
numbers within the limits for a believable pose, and a standing robot for any other.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

from duck_protection.settings import RangeTable, check_ranges


@dataclass(frozen=True)
class LanePose:
    """Where the robot is. stamp_s: the robot's wall clock; curvature_per_m: the lane's, positive to the left."""

    d_m: float  # left of the lane's centre line
    phi_rad: float  # heading relative to it, positive to the left
    curvature_per_m: float = 0.0
    in_lane: bool = True
    stamp_s: float = 0.0


@dataclass(frozen=True)
class Gains:
    """The controller's settings. Reasons stand in config/lane_follower_node.yaml."""

    v_mps: float = 0.19
    k_d_per_m2: float = 60.0
    k_phi_per_m: float = 16.0
    k_integral_per_m3: float = 30.0
    max_integral_per_m: float = 0.5
    integral_within_m: float = 0.05
    max_curvature_per_m: float = 7.0
    max_offset_m: float = 0.3
    max_heading_rad: float = 1.2

    RANGES: ClassVar[RangeTable] = {
        "v_mps": (0.0, 1.0),
        "k_d_per_m2": (0.0, 200.0),
        "k_phi_per_m": (0.0, 60.0),
        "k_integral_per_m3": (0.0, 200.0),
        "max_integral_per_m": (0.0, 3.0),
        "integral_within_m": (0.0, 0.3),
        "max_curvature_per_m": (1.0, 20.0),
        "max_offset_m": (0.05, 1.0),
        "max_heading_rad": (0.1, 1.6),
    }

    def __post_init__(self) -> None:
        check_ranges(self)


class LaneController:
    """Steers by one pose after the other. One thread at a time."""

    def __init__(self, gains: Gains) -> None:
        self._gains = gains
        self._integral_per_m = 0.0

    def steer(self, pose: Optional[LanePose], driven_m: float) -> Tuple[float, float]:
        """Speed (m/s) and turn rate (rad/s, positive to the left) wanted now; zeros without a believable pose.

        Args:
            pose: The newest lane pose, None when there is no fresh one.
            driven_m: Distance driven since the last call: a robot that is held integrates nothing.
        """
        if pose is None or not self._believable(pose):
            self._integral_per_m = 0.0
            return 0.0, 0.0
        gains = self._gains
        wanted = (
            pose.curvature_per_m
            - gains.k_d_per_m2 * pose.d_m
            - gains.k_phi_per_m * pose.phi_rad
            - self._integral_per_m
        )
        limited = _clipped(wanted, gains.max_curvature_per_m)
        if limited == wanted and abs(pose.d_m) <= gains.integral_within_m:  # else the integral would wind up
            grown = self._integral_per_m + gains.k_integral_per_m3 * pose.d_m * driven_m
            self._integral_per_m = _clipped(grown, gains.max_integral_per_m)
        return gains.v_mps, gains.v_mps * limited

    def _believable(self, pose: LanePose) -> bool:
        return (
            pose.in_lane
            and abs(pose.d_m) <= self._gains.max_offset_m  # NaN is not
            and abs(pose.phi_rad) <= self._gains.max_heading_rad
            and math.isfinite(pose.curvature_per_m)
        )


def _clipped(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
