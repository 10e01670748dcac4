"""The wheels' driver as it really behaves: the latest command rules for ever, and the emergency stop comes late.

Answers: how fast are the wheels told to turn now? Promise: no command ever times out here, so that no test can
hide a controller that falls silent; the emergency stop's flag takes effect at the next command, not at once.
"""
from __future__ import annotations

import math
import threading
from typing import Tuple

SPEED_MPS = 0.6  # per unit of the wheels' mean, Duckietown's vehicle model
TURN_RADPS = 7.5  # per unit of half the wheels' difference
V_MAX_MPS = 1.0  # kinematics_node's limits
OMEGA_MAX_RADPS = 8.0


class Wheels:
    """Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._command = (0.0, 0.0)
        self._emergency = False

    def car(self, v_mps: float, omega_radps: float) -> None:
        """A command of the controller. What is no number moves nothing."""
        with self._lock:
            if self._emergency or not (math.isfinite(v_mps) and math.isfinite(omega_radps)):
                self._command = (0.0, 0.0)
            else:
                self._command = (_within(v_mps, V_MAX_MPS), _within(omega_radps, OMEGA_MAX_RADPS))

    def turn(self, left: float, right: float) -> None:
        """A command straight to the wheels, in the driver's units, -1 to 1."""
        self.car(SPEED_MPS * (left + right) / 2, TURN_RADPS * (right - left) / 2)

    def flag(self, *, emergency: bool) -> None:
        """Sets the emergency stop's flag; it is looked at when the next command comes."""
        with self._lock:
            self._emergency = emergency

    @property
    def command(self) -> Tuple[float, float]:
        """(v_mps, omega_radps) in force."""
        with self._lock:
            return self._command


def _within(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
