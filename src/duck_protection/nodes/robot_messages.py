"""What the robot's nodes speak of: evidence, lane poses, commands, stop lines. Duckietown's messages and back.

Like messages.py for the workstation: only here are these messages' fields known. Promise: any message whatsoever,
empty or hostile, becomes a value that the core accepts or stops at.
"""
from __future__ import annotations

from typing import Any, Tuple

import rospy
from duckietown_msgs.msg import BoolStamped, StopLineReading, Twist2DStamped, WheelsCmdStamped
from duckietown_msgs.msg import LanePose as LanePoseMsg
from std_msgs.msg import Header

from duck_protection.corridor import DEFAULT
from duck_protection.lane_control import LanePose
from duck_protection.msg import DuckVerdict
from duck_protection.verdict import Level


def verdict_evidence(msg: DuckVerdict) -> Tuple[Level, float]:
    """Level and frame stamp (s, robot's wall clock) of a verdict; a level that does not exist is UNKNOWN."""
    known = msg.level in set(Level)
    return (Level(msg.level) if known else Level.UNKNOWN), msg.header.stamp.to_sec()


def lane_pose(msg: LanePoseMsg) -> LanePose:
    """The pose relative to the references that the message carries (dt-core's are zero)."""
    return LanePose(
        msg.d - msg.d_ref,
        msg.phi - msg.phi_ref,
        msg.curvature,
        bool(msg.in_lane) and msg.status == LanePoseMsg.NORMAL,
        msg.header.stamp.to_sec(),
    )


def car_command(msg: Twist2DStamped) -> Tuple[float, float]:
    """Speed (m/s) and turn rate (rad/s, positive to the left)."""
    return msg.v, msg.omega


def car_cmd(v_mps: float, omega_radps: float) -> Twist2DStamped:
    """A command stamped now."""
    return Twist2DStamped(now_header(), v_mps, omega_radps)


def wheels_zero() -> WheelsCmdStamped:
    """Both wheels at rest, stamped now."""
    return WheelsCmdStamped(now_header(), 0.0, 0.0)


def turning(msg: WheelsCmdStamped) -> bool:
    """Whether this moves a wheel; what is no number may."""
    return not msg.vel_left == msg.vel_right == 0.0


def flag(data: bool) -> BoolStamped:
    """A flag stamped now."""
    return BoolStamped(now_header(), data)


def stop_line_reading(level: Level) -> StopLineReading:
    """What dt-core's controller obeys: SLOW is a line seen ahead, STOP and UNKNOWN are a line reached.

    daffy's message has a stop_line_point, ente's a stop_pose; the one that is there gets the distance. At the
    SLOW distance the controller drives at its quarter speed and does not slow down further for the line itself.
    """
    msg = StopLineReading()
    msg.header = now_header()
    msg.stop_line_detected = level is not Level.CLEAR
    msg.at_stop_line = level in (Level.STOP, Level.UNKNOWN)
    stop_line_place(msg).x = DEFAULT.slow_m if level is Level.SLOW else 0.0
    return msg


def stop_line_place(msg: Any) -> Any:
    """Where the line is, in whichever field the installed message has."""
    return msg.stop_line_point if hasattr(msg, "stop_line_point") else msg.stop_pose


def now_header() -> Header:
    """A header stamped now, by this machine's clock."""
    return Header(stamp=rospy.Time.now())


def sender(msg: Any) -> str:
    """The name of the node that sent a message which this process received."""
    return str(msg._connection_header["callerid"])
