"""What only the simulated town and the recorder speak of: TownTruth, LanePose, CameraInfo, the log of a drive.

Same promise as messages.py: only here are these messages' fields known; what is missing in a message comes out
as None, never as a number that could be taken for a measurement.
"""
from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import rospy
from duckietown_msgs.msg import LanePose as LanePoseMsg
from sensor_msgs.msg import CameraInfo, CompressedImage

from duck_protection.msg import DuckVerdict, TownTruth
from duck_protection.verdict import Level

if TYPE_CHECKING:  # a robot has neither room
    from duck_protection.dashboard.births import Births
    from duck_protection.recording.drive import Heard, Moment
    from duck_protection.simulation.camera import Lens
    from duck_protection.simulation.episode import Truth
    from duck_protection.simulation.town import LanePose


def heard_from(message: DuckVerdict, heard_s: float) -> Heard:
    """A verdict for the log. heard_s: the wall clock when it came."""
    from duck_protection.recording.drive import Heard

    stamp_s = message.header.stamp.to_sec()
    level = Level(message.level) if message.level in list(Level) else Level.UNKNOWN
    return Heard(heard_s, stamp_s, level, message.reason, tuple(message.choices), tuple(message.probabilities))


def heard_here(message: DuckVerdict, heard_s: float, births: Births) -> Heard:
    """A verdict whose frame's stamp is told by this machine's clock, not by the robot's."""
    heard = heard_from(message, heard_s)
    return replace(heard, stamp_s=births.born_s(heard.stamp_s, heard_s, message.age_ms))


def moment_from(message: TownTruth) -> Moment:
    """A frame's truth for the log."""
    from duck_protection.recording.drive import Moment

    return Moment(
        stamp_s=message.header.stamp.to_sec(),
        level=Level(message.level),
        nearest_m=message.nearest_m if math.isfinite(message.nearest_m) else None,
        speed_mps=message.speed_mps,
        command_mps=message.command_mps,
        travelled_m=message.travelled_m,
        ducks_met=message.ducks_met,
        ducks_hit=message.ducks_hit,
        flank_hits=message.flank_hits,
    )


def image_message(jpeg: bytes, stamp: rospy.Time, frame_id: str, kind: str = "jpeg") -> CompressedImage:
    """A compressed picture, as the camera's driver sends it."""
    message = CompressedImage(format=kind, data=jpeg)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    return message


def camera_info(lens: Lens, stamp: rospy.Time, frame_id: str) -> CameraInfo:
    """K and D of the lens, with the frame's stamp."""
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob")
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.K = [float(value) for value in lens.matrix().ravel()]
    message.D = [float(value) for value in lens.distortion]
    message.R = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.P = [*message.K[0:3], 0.0, *message.K[3:6], 0.0, *message.K[6:9], 0.0]
    return message


def lane_pose(pose: LanePose, stamp: rospy.Time) -> LanePoseMsg:
    """Where the robot is in its lane."""
    message = LanePoseMsg(d=pose.d_m, phi=pose.phi_rad, curvature=pose.curvature)
    message.header.stamp, message.in_lane, message.status = stamp, True, LanePoseMsg.NORMAL
    return message


def truth_message(truth: Truth, stamp: rospy.Time) -> TownTruth:
    """What really stands in the town, as of the frame with this stamp."""
    message = TownTruth(level=int(truth.level), speed_mps=truth.speed_mps, command_mps=truth.command_mps)
    message.header.stamp = stamp
    message.nearest_m = math.inf if truth.nearest_m is None else truth.nearest_m
    message.travelled_m, message.ducks_met = truth.travelled_m, truth.ducks_met
    message.ducks_hit, message.flank_hits = truth.ducks_hit, truth.flank_hits
    return message


def all_clear(stamp: rospy.Time) -> DuckVerdict:
    """What a verdict would be if nobody looked."""
    verdict = DuckVerdict(level=DuckVerdict.CLEAR, reason="unprotected: nobody looked")
    verdict.header.stamp = stamp
    return verdict
