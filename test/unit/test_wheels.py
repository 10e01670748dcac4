"""The simulated wheels have the real driver's bad habits, or tests would hide a controller that falls silent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.nodes.wheels import OMEGA_MAX_RADPS, V_MAX_MPS, Wheels


def test_nothing_moves_before_the_first_command() -> None:
    assert Wheels().command == (0.0, 0.0)


def test_the_latest_command_of_either_kind_rules() -> None:
    wheels = Wheels()
    wheels.car(0.2, 1.0)
    assert wheels.command == (0.2, 1.0)
    wheels.turn(0.5, 0.5)
    assert wheels.command == (pytest.approx(0.3), 0.0)
    wheels.turn(-0.1, 0.1)
    assert wheels.command == (0.0, pytest.approx(0.75))
    wheels.car(0.1, 0.0)
    assert wheels.command == (0.1, 0.0)


def test_the_emergency_stop_takes_effect_at_the_next_command() -> None:
    wheels = Wheels()
    wheels.car(0.2, 0.0)
    wheels.flag(emergency=True)
    assert wheels.command == (0.2, 0.0), "the real driver looks at the flag only when a command comes"
    wheels.car(0.2, 0.0)
    assert wheels.command == (0.0, 0.0)
    wheels.flag(emergency=False)
    assert wheels.command == (0.0, 0.0)
    wheels.turn(0.5, 0.5)
    assert wheels.command[0] > 0


@given(v=st.floats(), omega=st.floats())
def test_commands_stay_within_limits_and_nonsense_stands(v: float, omega: float) -> None:
    wheels = Wheels()
    wheels.car(0.2, 0.0)
    wheels.car(v, omega)
    now = wheels.command
    assert abs(now[0]) <= V_MAX_MPS and abs(now[1]) <= OMEGA_MAX_RADPS
    assert (now == (0.0, 0.0)) == (not (math.isfinite(v) and math.isfinite(omega)) or (v == 0 and omega == 0))
