"""The lane controller keeps the line at every permitted speed, and stands without a believable pose."""
from __future__ import annotations

import math
from collections import deque
from typing import Callable, Deque, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.lane_control import Gains, LaneController, LanePose

TICK_S = 0.05
DELAY_TICKS = 4  # 0.15 s from command to motion (facts of the vehicle model) and one tick of lane pose


def driven(
    bend: Callable[[float], float], d_m: float, phi_rad: float, scale: float = 1.0, seconds: float = 20.0,
    pull_per_m: float = 0.0, told: bool = True,
) -> List[float]:
    """Offsets (m) of a robot that follows a line of curvature bend(arc length), its commands scaled and delayed.

    pull_per_m: a robot whose wheels differ turns by itself. told: the pose carries the line's curvature.
    """
    controller = LaneController(Gains())
    waiting: Deque[Tuple[float, float]] = deque([(0.0, 0.0)] * DELAY_TICKS)
    along_m, offsets, v = 0.0, [], 0.0
    for _ in range(int(seconds / TICK_S)):
        pose = LanePose(d_m, phi_rad, bend(along_m) if told else 0.0)
        waiting.append(controller.steer(pose, abs(v) * TICK_S))
        v, omega = (scale * part for part in waiting.popleft())
        for _ in range(10):
            step_s = TICK_S / 10
            curvature = bend(along_m)
            progress = v * math.cos(phi_rad) / (1 - curvature * d_m)
            along_m += progress * step_s
            d_m += v * math.sin(phi_rad) * step_s
            phi_rad += (omega + v * pull_per_m - curvature * progress) * step_s
        offsets.append(d_m)
    return offsets


def straight(_: float) -> float:
    return 0.0


def left_then_right(along_m: float) -> float:
    """Curves of a Duckietown tile: radius 0.29 m inside, 0.41 m outside."""
    return 1 / 0.41 if along_m % 2.4 < 0.6 else (-1 / 0.29 if 1.2 <= along_m % 2.4 < 1.65 else 0.0)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("d_m", [-0.1, 0.1])
def test_an_offset_is_steered_out_without_swinging_over(d_m: float, scale: float) -> None:
    offsets = driven(straight, d_m, 0.0, scale, seconds=10 / scale)
    assert abs(offsets[-1]) < 0.005
    assert max(-math.copysign(1, d_m) * offset for offset in offsets) < 0.02


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_told_curves_are_driven_within_three_centimetres(scale: float) -> None:
    assert max(map(abs, driven(left_then_right, 0.0, 0.0, scale, seconds=40 / scale))) < 0.03


def test_untold_curves_stay_in_the_lane() -> None:
    """dt-core's lane filter gives no curvature: the robot must stay within its half lane of 0.115 m less its width."""
    assert max(map(abs, driven(left_then_right, 0.0, 0.0, told=False, seconds=40))) < 0.06


def test_a_robot_that_pulls_to_one_side_finds_the_centre() -> None:
    offsets = driven(straight, 0.0, 0.0, pull_per_m=0.3, seconds=40)
    assert abs(offsets[-1]) < 0.001 < max(map(abs, offsets[:100]))


def test_a_held_robot_does_not_wind_up() -> None:
    controller = LaneController(Gains())
    first = controller.steer(LanePose(0.1, 0.0), 0.0)
    for _ in range(1000):
        held = controller.steer(LanePose(0.1, 0.0), 0.0)
    assert held == first


def test_a_saturated_integral_lets_go_within_its_limit() -> None:
    gains = Gains()
    controller = LaneController(gains)
    for _ in range(1000):
        controller.steer(LanePose(0.05, 0.0), 0.01)
    v, omega = controller.steer(LanePose(0.0, 0.0), 0.0)
    assert omega == pytest.approx(-v * gains.max_integral_per_m)


@pytest.mark.parametrize(
    "pose",
    [
        None,  # silent, or old
        LanePose(math.nan, 0.0),
        LanePose(0.0, math.nan),
        LanePose(0.0, 0.0, math.inf),
        LanePose(0.0, 0.0, math.nan),
        LanePose(0.31, 0.0),  # beyond the neighbouring lane's middle
        LanePose(-0.31, 0.0),
        LanePose(0.0, 1.21),
        LanePose(0.0, 0.0, in_lane=False),
    ],
)
def test_without_a_believable_pose_the_robot_stands(pose: LanePose) -> None:
    assert LaneController(Gains()).steer(pose, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("pose", [LanePose(0.3, 0.0), LanePose(-0.3, 0.0), LanePose(0.0, 1.2), LanePose(0.0, -1.2)])
def test_a_pose_at_the_limit_is_still_believed(pose: LanePose) -> None:
    assert LaneController(Gains()).steer(pose, 0.0)[0] == Gains().v_mps


finite = st.floats(-10, 10)


@given(st.lists(st.tuples(finite, finite, st.floats(), st.floats(0, 0.1)), min_size=1))
def test_whatever_comes_the_answer_is_finite_and_within_its_limits(rows: List[Tuple[float, ...]]) -> None:
    gains, controller = Gains(), LaneController(Gains())
    for d_m, phi_rad, curvature_per_m, driven_m in rows:
        v, omega = controller.steer(LanePose(d_m, phi_rad, curvature_per_m), driven_m)
        assert v in (0.0, gains.v_mps)
        assert abs(omega) <= v * gains.max_curvature_per_m


@given(st.floats(-0.3, 0.3), st.floats(-1.2, 1.2), st.floats(-3, 3))
def test_left_and_right_mirror_each_other(d_m: float, phi_rad: float, curvature_per_m: float) -> None:
    left = LaneController(Gains()).steer(LanePose(d_m, phi_rad, curvature_per_m), 0.01)
    right = LaneController(Gains()).steer(LanePose(-d_m, -phi_rad, -curvature_per_m), 0.01)
    assert left == (right[0], -right[1])


def test_after_a_lost_pose_the_controller_begins_anew() -> None:
    controller = LaneController(Gains())
    assert controller.steer(None, 0.0) == (0.0, 0.0)
    _, omega = controller.steer(LanePose(0.0, 0.0, 0.0), 0.0)
    assert omega == 0.0
