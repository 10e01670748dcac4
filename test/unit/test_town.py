"""The lane through a town: continuous, on the right, with Duckietown's signs; and the robot that drives on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.corridor import along_path, nearest_in_path_m, true_level
from duck_protection.simulation.robot import DELAY_S, Robot, Touch
from duck_protection.simulation.town import BUMPER_M, TILE_M, Pose, Town, random_town
from duck_protection.simulation.towns import CORNERS, town_named
from duck_protection.verdict import Level

NAMES = [*CORNERS, *(name + "_reversed" for name in CORNERS), *(f"random:{seed}" for seed in range(8))]
NORTH_OF_RING_M = 0.3 * TILE_M  # the ring's first tile row is driven east, its lane 0.2 tile south of the middle


@pytest.mark.parametrize("name", NAMES)
def test_the_lane_has_no_jump_and_no_kink(name: str) -> None:
    path = town_named(name).path()
    s = np.arange(0.0, path.length_m, 0.01)
    places = path.points(np.append(s, path.length_m))
    assert np.hypot(*np.diff(places, axis=0).T).max() < 0.0101
    headings = np.unwrap([path.heading(value) for value in s])
    assert np.abs(np.diff(headings)).max() <= 0.01 / (0.3 * TILE_M) + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_curvature_is_how_the_heading_turns(name: str) -> None:
    path = town_named(name).path()
    s = np.arange(0.0, path.length_m, 0.001)
    turned = sum(path.curvature(value) * 0.001 for value in s)
    assert abs(turned) == pytest.approx(2 * math.pi, abs=0.1)
    radii = {round(1 / path.curvature(value) / TILE_M, 6) for value in s if path.curvature(value)}
    assert radii <= {0.7, -0.3}


def test_every_other_map_has_left_and_right_curves() -> None:
    for name in ("l_loop", "u_loop", "s_loop", "s_loop_reversed"):
        path = town_named(name).path()
        signs = {np.sign(path.curvature(s)) for s in np.arange(0, path.length_m, 0.02)}
        assert signs == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("name", NAMES)
def test_the_robot_drives_on_the_right(name: str) -> None:
    town = town_named(name)
    path = town.path()
    for s in np.arange(0.01, path.length_m, 0.1):
        if path.curvature(s) == 0:
            middle = (np.floor(path.point(s) / TILE_M) + 0.5) * TILE_M
            left_of_lane = Pose(*path.point(s), path.heading(s)).local(middle[None])[0, 1]
            assert left_of_lane == pytest.approx(0.2 * TILE_M)


@given(
    st.sampled_from(NAMES), st.floats(0, 1), st.floats(-0.08, 0.08), st.floats(-1.0, 1.0)
)
def test_a_pose_comes_back_as_its_lane_pose(name: str, share: float, d_m: float, phi_rad: float) -> None:
    path = town_named(name).path()
    lane = path.lane_pose(path.pose(share * path.length_m, d_m, phi_rad))
    assert lane.d_m == pytest.approx(d_m, abs=1e-6)
    assert lane.phi_rad == pytest.approx(phi_rad, abs=1e-6)


def test_left_is_positive_in_both_d_and_phi() -> None:
    path = town_named("ring").path()
    lane = path.lane_pose(Pose(1.0, NORTH_OF_RING_M + 0.02, 0.1))
    assert lane.d_m == pytest.approx(0.02)
    assert lane.phi_rad == pytest.approx(0.1)


def test_a_left_curve_has_positive_curvature_and_bends_the_route_left() -> None:
    path = town_named("ring").path()  # driven anticlockwise: left curves only
    s = next(s for s in np.arange(0, path.length_m, 0.05) if path.curvature(s) > 0)
    assert path.ahead(path.pose(s), 0.6)[-1, 1] > 0.1


@given(st.floats(0.05, 1.5), st.floats(-0.3, 0.3))
def test_on_a_straight_road_the_route_agrees_with_straight_ahead(forward_m: float, left_m: float) -> None:
    path = Town("long", tuple([(i, 0) for i in range(9)] + [(8 - i, 1) for i in range(9)])).path()
    robot = path.pose(0.7)
    ducks = np.array([[forward_m, left_m]])
    route = path.ahead(robot, 1.6)
    assert along_path(ducks, route) == pytest.approx(ducks, abs=1e-9)
    assert true_level(ducks, route) is true_level(ducks)
    assert nearest_in_path_m(ducks, route) == (pytest.approx(forward_m) if abs(left_m) <= 0.12 else None)


def test_in_a_curve_a_duck_straight_ahead_is_not_in_the_way() -> None:
    path = town_named("ring").path()
    s = next(s for s in np.arange(0, path.length_m, 0.01) if path.curvature(s) > 0)
    robot = path.pose(s)
    straight, along = np.array([[0.55, 0.0]]), robot.ahead(BUMPER_M).local(path.point(s + 0.4)[None])
    assert true_level(straight, path.ahead(robot)) is Level.CLEAR
    assert true_level(along, path.ahead(robot)) is Level.STOP


def test_random_towns_differ_and_are_the_same_for_one_seed() -> None:
    assert random_town(3) == random_town(3)
    assert len({random_town(seed).cells for seed in range(30)}) > 15


@pytest.mark.parametrize("cells", [((0, 0), (2, 0), (2, 1), (0, 1)), ((0, 0), (1, 0), (0, 0), (0, 1))])
def test_a_road_with_a_gap_or_a_crossing_is_refused(cells: tuple) -> None:
    with pytest.raises(ValueError, match="map broken"):
        Town("broken", cells)


def test_an_unknown_town_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"nowhere.*l_loop"):
        town_named("nowhere")


def test_a_command_moves_the_robot_only_after_the_delay() -> None:
    robot = Robot(Pose(0, 0, 0))
    for _ in range(10):
        robot.step(0.2, 0.0, 0.01)
    assert robot.travelled_m == 0.0
    for _ in range(15):
        robot.step(0.2, 0.0, 0.01)
    assert robot.pose.x_m == pytest.approx(0.2 * (0.25 - DELAY_S))
    for _ in range(100):  # the stop comes late too
        robot.step(0.0, 0.0, 0.01)
    assert robot.pose.x_m == pytest.approx(0.2 * 0.25)
    assert robot.standing()


def test_motion_does_not_depend_on_the_step() -> None:
    coarse, fine = Robot(Pose(0, 0, 0)), Robot(Pose(0, 0, 0))
    for robot, steps in ((coarse, 20), (fine, 200)):
        for _ in range(steps):
            robot.step(0.2, 1.0, 1.0 / steps)
    assert coarse.pose.x_m == pytest.approx(fine.pose.x_m, abs=1e-9)
    assert coarse.pose.theta_rad == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("forward_m", "left_m", "touch"),
    [
        (0.10, 0.0, Touch.BUMPER),
        (0.12, 0.0, None),  # radius 0.03 beyond the bumper at 0.08
        (0.09, 0.08, Touch.BUMPER),  # over the corner, still ahead of it
        (0.0, 0.09, Touch.FLANK),
        (0.0, -0.09, Touch.FLANK),
        (0.0, 0.10, None),
        (-0.12, 0.0, Touch.FLANK),  # the back
    ],
)
def test_what_touches_a_duck(forward_m: float, left_m: float, touch: object) -> None:
    robot = Robot(Pose(1.0, 2.0, math.pi / 2))
    assert robot.touch(1.0 - left_m, 2.0 + forward_m, 0.03) is touch
