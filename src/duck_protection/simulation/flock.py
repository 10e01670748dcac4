"""The ducks of a drive: who stands in the lane, who walks across, who only watches.

Script of a drive, seeded. A new duck is put on stage at least APPEAR_M ahead of the bumper, never nearer, one at a
time. A standing duck is lifted off after the robot has stood before it for LIFTED_AFTER_S; a walking duck waits
beside the path, walks clear across and leaves the road. Decoys never move. Promise: where a duck is depends on the
seed, the path and the robot's way alone; each duck is met, hit or flanked once at most.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import List, Optional, Sequence

import numpy as np

from duck_protection.corridor import DEFAULT, TOUCHING_M
from duck_protection.simulation.robot import Robot, Touch
from duck_protection.simulation.town import BUMPER_M, LanePath

APPEAR_M, APPEAR_SPREAD_M = 1.25, 0.4  # ahead of the bumper, along the path; 1.2 m is promised
LIFTED_AFTER_S = 4.0
LIFTED_WITHIN_M = 1.0  # the robot stands "before" a duck that is nearer than this
PASSED_M = -0.35  # a duck this far behind the bumper has played its part
PAUSE_S = 1.0  # between one duck's exit and the next one's entry
WALK_MPS = (0.05, 0.15)
WALK_FROM_M = (0.15, 0.40)  # beside the path
LEFT_GOAL_M, RIGHT_GOAL_M = 0.50, -0.32  # beyond the white lines, seen from the lane's centre
TRIGGER_M = (0.35, 0.90)  # a walking duck sets off when the bumper is this near
DECOY_GAP_M = 0.27  # from the lane's centre line: outside every limit of the corridor
ROOM_M = 0.15  # straight road needed before and after a walking duck


class Part(Enum):
    """What a duck does in the drive."""

    STANDS = "stands"
    WALKS = "walks"
    WATCHES = "watches"


@dataclass
class Duck:
    """One duck on stage. s_m and offset_m: where it is along the lane and to its left; yaw in radians."""

    number: int
    part: Part
    s_m: float
    offset_m: float
    yaw_rad: float
    radius_m: float
    x_m: float = 0.0
    y_m: float = 0.0
    speed_mps: float = 0.0
    trigger_m: float = 0.0
    goal_m: float = 0.0
    walking: bool = False
    met: bool = False
    stood_s: float = 0.0  # for how long the robot has stood before it


@dataclass(frozen=True)
class Score:
    """What has happened so far."""

    met: int = 0
    hit: int = 0
    flanked: int = 0


class Flock:
    """All ducks of one drive on one lane.

    Args:
        widths_m: Of the ducks by number; the first ACTORS take parts in turn, the others watch.
        duck_every_s: From one duck's entry to the next one's, if the robot gets by in that time.
    """

    ACTORS = 4

    def __init__(self, path: LanePath, widths_m: Sequence[float], seed: int, duck_every_s: float = 8.0) -> None:
        self._path, self._every_s = path, duck_every_s
        self._radii = [width / 2 for width in widths_m]
        self._rng = np.random.default_rng([seed, 17])
        self._next, self._waited_s, self._last_s = 0, PAUSE_S, -math.inf
        self.actor: Optional[Duck] = None
        self.leaving: List[Duck] = []  # actors that are out of the way but still to be seen
        self.decoys = self._watchers(len(widths_m) - self.ACTORS)
        self.score = Score()

    def ducks(self) -> List[Duck]:
        """Everyone on stage."""
        return [*([self.actor] if self.actor else []), *self.leaving, *self.decoys]

    def step(self, time_s: float, dt_s: float, robot: Robot) -> None:
        """The ducks' next dt_s, with the robot where it is now."""
        bumper = robot.pose.ahead(BUMPER_M)
        s = self._path.nearest((bumper.x_m, bumper.y_m))
        if self.actor is not None:
            self._act(self.actor, s, dt_s, robot)
        else:
            self._waited_s += dt_s
            if self._waited_s >= PAUSE_S and time_s - self._last_s >= self._every_s:
                self.actor, self._last_s = self._enter(s), time_s
        self.leaving = [duck for duck in self.leaving if self._ahead(duck, s) > PASSED_M]
        self.leaving = [duck for duck in self.leaving if not self._touched(duck, robot)]
        self.decoys = [duck for duck in self.decoys if not self._touched(duck, robot)]

    def _act(self, duck: Duck, s: float, dt_s: float, robot: Robot) -> None:
        ahead = self._ahead(duck, s)
        near = ahead < LIFTED_WITHIN_M
        duck.stood_s = duck.stood_s + dt_s if near and robot.standing() else 0.0
        self._walk(duck, ahead, dt_s)
        self._meet(duck, ahead)
        lifted = duck.part is Part.STANDS and duck.stood_s >= LIFTED_AFTER_S
        if self._touched(duck, robot) or ahead < PASSED_M or lifted:
            self._exit()
        elif duck.part is Part.WALKS and duck.offset_m == duck.goal_m:
            self.leaving.append(duck)
            self._exit()

    def _walk(self, duck: Duck, ahead_m: float, dt_s: float) -> None:
        """One step across, once the robot is near or has waited long before it."""
        if duck.part is not Part.WALKS:
            return
        duck.walking = duck.walking or ahead_m < duck.trigger_m or duck.stood_s >= LIFTED_AFTER_S / 2
        if duck.walking:
            left = duck.goal_m - duck.offset_m
            duck.offset_m += math.copysign(min(abs(left), duck.speed_mps * dt_s), left)
            if abs(duck.goal_m - duck.offset_m) < 1e-9:
                duck.offset_m = duck.goal_m
            self._put(duck)

    def _meet(self, duck: Duck, ahead_m: float) -> None:
        in_way = abs(duck.offset_m) <= DEFAULT.half_width_m and TOUCHING_M <= ahead_m < DEFAULT.slow_m
        if in_way and not duck.met:
            duck.met = True
            self.score = Score(self.score.met + 1, self.score.hit, self.score.flanked)

    def _touched(self, duck: Duck, robot: Robot) -> bool:
        """Whether the robot touches it: told in the score; the duck is taken off then. A duck that walks against the
        bumper of a robot that stands is not run over: it counts with the flanks."""
        touch = robot.touch(duck.x_m, duck.y_m, duck.radius_m)
        if touch is None:
            return False
        hit = touch is Touch.BUMPER and not robot.standing()
        self.score = Score(self.score.met, self.score.hit + hit, self.score.flanked + (not hit))
        return True

    def _exit(self) -> None:
        self.actor, self._waited_s = None, 0.0

    def _enter(self, s: float) -> Duck:
        """A new duck, ahead of the bumper at s."""
        rng, number = self._rng, self._next
        self._next = (self._next + 1) % self.ACTORS
        self.leaving = [duck for duck in self.leaving if duck.number != number]
        at, yaw = s + APPEAR_M + rng.uniform(0, APPEAR_SPREAD_M), rng.uniform(-math.pi, math.pi)
        walks, side = rng.random() < 0.5, 1 if rng.random() < 0.4 else -1
        if walks and self._straight(at):
            duck = Duck(number, Part.WALKS, at, side * rng.uniform(*WALK_FROM_M), 0.0, self._radii[number])
            duck.speed_mps, duck.trigger_m = rng.uniform(*WALK_MPS), rng.uniform(*TRIGGER_M)
            duck.goal_m = RIGHT_GOAL_M if side > 0 else LEFT_GOAL_M
            duck.yaw_rad = self._path.heading(at) - side * math.pi / 2
        else:
            duck = Duck(number, Part.STANDS, at, rng.uniform(-0.08, 0.08), yaw, self._radii[number])
        self._put(duck)
        return duck

    def _straight(self, s: float) -> bool:
        return all(self._path.curvature(s + gap) == 0 for gap in (-ROOM_M, 0.0, ROOM_M))

    def _put(self, duck: Duck) -> None:
        at = self._path.pose(duck.s_m, duck.offset_m)
        duck.x_m, duck.y_m = at.x_m, at.y_m

    def _ahead(self, duck: Duck, s: float) -> float:
        """Along the lane from the bumper at s, in minus half to plus half a loop."""
        half = self._path.length_m / 2
        return (duck.s_m - s + half) % self._path.length_m - half

    def _watchers(self, count: int) -> List[Duck]:
        """Ducks beside the road and in the other lane, well off the own one."""
        rng = self._rng
        found: List[Duck] = []
        while len(found) < count:
            s, side = rng.uniform(0, self._path.length_m), -1 if rng.random() < 0.6 else 1
            offset = side * rng.uniform(*((0.28, 0.8) if side < 0 else (0.28, 0.9)))
            number = self.ACTORS + len(found)
            duck = Duck(number, Part.WATCHES, s, offset, rng.uniform(-math.pi, math.pi), self._radii[number])
            self._put(duck)
            gap = self._path.point(self._path.nearest((duck.x_m, duck.y_m))) - (duck.x_m, duck.y_m)
            alone = all(math.hypot(duck.x_m - other.x_m, duck.y_m - other.y_m) > 0.1 for other in found)
            if np.hypot(*gap) >= DECOY_GAP_M and alone:
                found.append(duck)
        return found


