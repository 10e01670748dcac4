"""How the simulated Duckiebot moves, and what it touches.

A unicycle whose wheels obey each command DELAY_S late and keep the last one for ever, as the real wheels driver does.
Promise: motion depends on the commands and the time steps alone; a duck touched is told as front bumper or elsewhere.
"""
from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import Deque, Optional, Tuple

import numpy as np

from duck_protection.simulation.town import BUMPER_M, Pose, wrapped

DELAY_S = 0.15  # command to motion, Duckietown's vehicle model
WIDTH_M = 0.13
LENGTH_M = 0.18
REACH_M = math.hypot(LENGTH_M, WIDTH_M / 2)  # from the axle, no corner is farther
STANDING_MPS = 0.01  # slower than this the robot stands


class Touch(Enum):
    """Which part of the robot touches a duck."""

    BUMPER = "bumper"
    FLANK = "flank"


class Robot:
    """The robot on the ground; its own time starts at zero and advances in step()."""

    def __init__(self, pose: Pose) -> None:
        self.pose = pose
        self.time_s = 0.0
        self.v_mps = 0.0
        self.omega_radps = 0.0
        self.travelled_m = 0.0
        self._waiting: Deque[Tuple[float, float, float]] = deque()

    def step(self, v_mps: float, omega_radps: float, dt_s: float) -> None:
        """Advance by dt_s under a command given now; it takes effect DELAY_S from now."""
        self._waiting.append((self.time_s + DELAY_S, v_mps, omega_radps))
        end = self.time_s + dt_s
        while self.time_s < end - 1e-12:
            while self._waiting and self._waiting[0][0] <= self.time_s + 1e-9:
                _, self.v_mps, self.omega_radps = self._waiting.popleft()
            until = min(end, self._waiting[0][0]) if self._waiting else end
            self._move(until - self.time_s)
            self.time_s = until

    def standing(self) -> bool:
        """Whether the wheels do not move the robot forward or back."""
        return abs(self.v_mps) < STANDING_MPS

    def touch(self, x_m: float, y_m: float, radius_m: float) -> Optional[Touch]:
        """The part that touches a round thing standing at a ground point, or None."""
        if math.hypot(x_m - self.pose.x_m, y_m - self.pose.y_m) > REACH_M + radius_m:
            return None  # nearly always: worth a twentieth of a drive's time
        forward, left = self.pose.local(np.array([[x_m, y_m]]))[0]
        gap_x = forward - min(max(forward, BUMPER_M - LENGTH_M), BUMPER_M)
        gap_y = left - min(max(left, -WIDTH_M / 2), WIDTH_M / 2)
        if math.hypot(gap_x, gap_y) > radius_m:
            return None
        return Touch.BUMPER if forward >= BUMPER_M else Touch.FLANK

    def _move(self, dt_s: float) -> None:
        v, omega, theta = self.v_mps, self.omega_radps, self.pose.theta_rad
        half = omega * dt_s / 2
        chord = v * dt_s * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
        self.pose = Pose(
            self.pose.x_m + chord * math.cos(theta + half),
            self.pose.y_m + chord * math.sin(theta + half),
            wrapped(theta + 2 * half),
        )
        self.travelled_m += abs(v) * dt_s
