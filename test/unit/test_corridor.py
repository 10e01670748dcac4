"""The truth of a frame, at each limit of the corridor, on straight and bent paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.corridor import Corridor, along_path, nearest_in_path_m, true_level
from duck_protection.verdict import Level

LEFT_BEND = np.array([[0.3 * math.sin(a), 0.3 * (1 - math.cos(a))] for a in np.linspace(0, math.pi / 2, 200)])


@pytest.mark.parametrize(
    ("x_m", "y_m", "level"),
    [
        (0.2, 0.0, Level.STOP),
        (0.449, 0.0, Level.STOP),
        (0.45, 0.0, Level.SLOW),  # "nearer than": at the limit it is no longer STOP
        (0.999, 0.0, Level.SLOW),
        (1.0, 0.0, Level.CLEAR),
        (0.2, 0.12, Level.STOP),  # the corridor's edge belongs to it
        (0.2, -0.12, Level.STOP),
        (0.2, 0.121, Level.SLOW),  # beside: may step out
        (0.2, -0.24, Level.SLOW),
        (0.2, 0.241, Level.CLEAR),
        (0.599, 0.2, Level.SLOW),
        (0.6, 0.2, Level.CLEAR),
        (0.8, 0.121, Level.CLEAR),
        (0.0, 0.0, Level.STOP),
        (-0.03, 0.0, Level.STOP),  # still touches the bumper
        (-0.031, 0.0, Level.CLEAR),  # behind
        (-0.1, 0.2, Level.CLEAR),
    ],
)
def test_limits(x_m: float, y_m: float, level: Level) -> None:
    assert true_level(np.array([[x_m, y_m]])) is level


def test_no_duck_is_clear() -> None:
    assert true_level(np.empty((0, 2))) is Level.CLEAR
    assert nearest_in_path_m(np.empty((0, 2))) is None


def test_the_worst_duck_decides() -> None:
    far, near, aside = [0.9, 0.0], [0.3, 0.05], [0.3, 0.4]
    assert true_level(np.array([aside, far])) is Level.SLOW
    assert true_level(np.array([aside, far, near])) is Level.STOP


def test_the_nearest_in_the_path_is_given_and_others_are_not_counted() -> None:
    ducks = np.array([[0.9, 0.0], [0.1, 0.2], [0.5, -0.1], [-0.2, 0.0]])
    assert nearest_in_path_m(ducks) == pytest.approx(0.5)
    assert nearest_in_path_m(ducks[1:2]) is None


def test_the_corridor_of_the_nearest_duck_ends_where_that_of_the_level_ends() -> None:
    assert nearest_in_path_m(np.array([[-0.03, 0.12]])) == pytest.approx(-0.03)
    assert nearest_in_path_m(np.array([[-0.031, 0.0], [0.2, 0.1201]])) is None
    assert nearest_in_path_m(np.array([[0.3, 0.35]]), LEFT_BEND) == pytest.approx(0.3 * math.pi / 2 + 0.05, abs=1e-3)


def test_whole_numbers_are_places_too() -> None:
    assert along_path(np.array([1, 0]), np.array([[0, 0], [3, 0]]))[0] == pytest.approx([1.0, 0.0])


def test_a_bend_is_followed() -> None:
    """A duck straight ahead of a robot that will turn left is not in its way; one round the bend is."""
    assert true_level(np.array([[0.42, 0.0]])) is Level.STOP
    assert true_level(np.array([[0.6, 0.0]]), LEFT_BEND) is Level.CLEAR
    round_the_bend = np.array([[0.3, 0.35]])
    assert true_level(round_the_bend) is Level.CLEAR
    assert true_level(round_the_bend, LEFT_BEND) is Level.SLOW
    distance, offset = along_path(round_the_bend, LEFT_BEND)[0]
    assert distance == pytest.approx(0.3 * math.pi / 2 + 0.05, abs=1e-3)
    assert offset == pytest.approx(0.0, abs=1e-3)


def test_left_is_positive_on_every_heading() -> None:
    ahead = np.array([[0.0, 0.0], [1.0, 0.0]])
    for angle in np.linspace(0, 2 * math.pi, 9):
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        placed = along_path((turn @ np.array([0.4, 0.1])).reshape(1, 2), ahead @ turn.T)
        assert placed[0] == pytest.approx([0.4, 0.1], abs=1e-9)


def test_a_path_goes_on_straight_at_both_ends() -> None:
    path = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]])
    assert along_path(np.array([[0.6, 0.9]]), path)[0] == pytest.approx([1.4, -0.1])
    assert along_path(np.array([[-0.3, 0.1]]), path)[0] == pytest.approx([-0.3, 0.1])


def test_points_that_repeat_in_a_path_do_no_harm() -> None:
    path = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert along_path(np.array([[0.4, -0.2]]), path)[0] == pytest.approx([0.4, -0.2])


def test_the_limits_can_be_set() -> None:
    wide = Corridor(half_width_m=0.2, stop_m=0.6)
    assert true_level(np.array([[0.5, 0.19]]), corridor=wide) is Level.STOP
    assert nearest_in_path_m(np.array([[0.5, 0.19]]), corridor=wide) == pytest.approx(0.5)


@given(st.floats(-0.5, 2), st.floats(-0.5, 0.5))
def test_a_finely_cut_straight_path_is_the_straight_path(x_m: float, y_m: float) -> None:
    fine = np.column_stack([np.linspace(0, 1.5, 40), np.zeros(40)])
    assert along_path(np.array([[x_m, y_m]]), fine)[0] == pytest.approx([x_m, y_m], abs=1e-9)


@given(st.floats(0, 1.5), st.floats(-0.4, 0.4), st.floats(0, 0.3))
def test_coming_nearer_in_the_corridor_never_lowers_the_level(x_m: float, y_m: float, step_m: float) -> None:
    near, far = np.array([[max(0.0, x_m - step_m), y_m]]), np.array([[x_m, y_m]])
    assert true_level(near) >= true_level(far)


def test_a_point_outside_a_bend_is_as_far_as_the_corner() -> None:
    path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert along_path(np.array([[2.0, -1.0]]), path) == pytest.approx(np.array([[1.0, -(2.0**0.5)]]))


def test_a_path_may_name_a_point_twice() -> None:
    path = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert along_path(np.array([[0.5, 0.0]]), path) == pytest.approx(np.array([[0.5, 0.0]]))
