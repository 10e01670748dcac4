"""Duckietown's messages and the core's values: every field arrives, and what cannot be believed stops."""
from __future__ import annotations

import math

import pytest

pytest.importorskip("duckietown_msgs.msg", reason="needs the built messages: ./run test")

import rospy
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import LanePose as LanePoseMsg
from duckietown_msgs.msg import Twist2DStamped, WheelsCmdStamped

from duck_protection.lane_control import LanePose
from duck_protection.nodes import robot_messages
from duck_protection.verdict import Level


@pytest.fixture(autouse=True)
def _clock() -> None:
    rospy.rostime.set_rostime_initialized(True)  # no node is started here


@pytest.mark.parametrize("level", list(Level))
def test_a_verdicts_level_and_stamp_arrive(level: Level) -> None:
    msg = DuckVerdict(level=int(level))
    msg.header.stamp = rospy.Time(1_700_000_000, 123_456_789)
    assert robot_messages.verdict_evidence(msg) == (level, pytest.approx(1_700_000_000.123456789, abs=1e-6))


def test_an_empty_verdict_is_unknown_without_a_frame() -> None:
    assert robot_messages.verdict_evidence(DuckVerdict()) == (Level.UNKNOWN, 0.0)


@pytest.mark.parametrize("number", [4, 77, 255])
def test_a_level_that_does_not_exist_is_unknown(number: int) -> None:
    assert robot_messages.verdict_evidence(DuckVerdict(level=number))[0] is Level.UNKNOWN


def test_the_levels_have_the_messages_numbers() -> None:
    assert all(getattr(DuckVerdict, level.name) == level for level in Level)


def test_a_lane_pose_is_relative_to_its_references() -> None:
    msg = LanePoseMsg(d=0.05, d_ref=0.01, phi=-0.2, phi_ref=0.1, curvature=1.5, in_lane=True)
    msg.header.stamp = rospy.Time(12, 500_000_000)
    pose = robot_messages.lane_pose(msg)
    assert (pose.d_m, pose.phi_rad) == (pytest.approx(0.04), pytest.approx(-0.3))
    assert pose == LanePose(pose.d_m, pose.phi_rad, 1.5, in_lane=True, stamp_s=12.5)


@pytest.mark.parametrize(
    "msg", [LanePoseMsg(), LanePoseMsg(in_lane=False), LanePoseMsg(in_lane=True, status=LanePoseMsg.ERROR)]
)
def test_a_pose_that_its_sender_does_not_believe_is_not_in_the_lane(msg: LanePoseMsg) -> None:
    assert robot_messages.lane_pose(msg).in_lane is False


def test_a_command_makes_the_round_trip() -> None:
    assert robot_messages.car_command(robot_messages.car_cmd(0.19, -0.5)) == (0.19, -0.5)
    assert robot_messages.car_cmd(0.19, -0.5).header.stamp > rospy.Time()
    assert all(map(math.isnan, robot_messages.car_command(Twist2DStamped(v=math.nan, omega=math.nan))))


@pytest.mark.parametrize(
    ("level", "detected", "at_line", "distance_m"),
    [
        (Level.CLEAR, False, False, 0.0),
        (Level.SLOW, True, False, 1.0),  # dt-core: a quarter of the speed; farther than it slows down for lines
        (Level.STOP, True, True, 0.0),
        (Level.UNKNOWN, True, True, 0.0),
    ],
)
def test_a_level_as_a_stop_line(level: Level, detected: bool, at_line: bool, distance_m: float) -> None:
    msg = robot_messages.stop_line_reading(level)
    assert (msg.stop_line_detected, msg.at_stop_line) == (detected, at_line)
    assert robot_messages.stop_line_place(msg).x == distance_m


def test_entes_stop_line_has_a_pose_instead_of_a_point() -> None:
    class EntesReading:
        stop_pose = "where"

    assert robot_messages.stop_line_place(EntesReading()) == "where"


def test_zeros_for_the_wheels_are_zeros() -> None:
    msg = robot_messages.wheels_zero()
    assert (msg.vel_left, msg.vel_right) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("left", "right", "turns"), [(0.0, 0.0, False), (-0.0, 0.0, False), (0.1, 0.0, True), (0.0, -0.1, True),
                                 (math.nan, 0.0, True), (0.0, math.nan, True), (math.inf, 0.0, True)],
)  # fmt: skip
def test_wheels_stand_only_when_both_are_told_zero(left: float, right: float, turns: bool) -> None:
    assert robot_messages.turning(WheelsCmdStamped(vel_left=left, vel_right=right)) is turns
