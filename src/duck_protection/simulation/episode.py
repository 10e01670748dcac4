"""A drive through a simulated town: robot, ducks, camera and truth together.

`Episode` is the drive without a picture; `TownWorld` adds the scene and the camera and is what sim_node drives:

    world = TownWorld(seed=1, town="l_loop")
    world.command(0.19, 0.0)         # rules for ever, like the real wheels' driver, until the next one
    world.step(0.01)                 # seconds; the duck script and the robot advance
    d, phi = world.lane_pose().d_m, world.lane_pose().phi_rad
    jpeg, truth = world.photograph() # 640x480 JPEG and what really stands there, of one moment

Promise: the same seed, commands and steps give the same truth; no two pictures are identical byte for byte.
step() and command() may run in one thread and the pictures in another: a picture shows the newest whole step.
All pictures of a world are best taken in one thread: each thread has a camera of its own.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

import numpy as np

from duck_protection.corridor import nearest_in_path_m, true_level
from duck_protection.simulation.flock import Flock, Score
from duck_protection.simulation.look import DEMO, Look
from duck_protection.simulation.robot import Robot
from duck_protection.simulation.town import BUMPER_M, LanePath, LanePose, Pose, Town
from duck_protection.simulation.towns import town_named
from duck_protection.verdict import Level

DUCKS = 22
ROUTE_M = 1.6


@dataclass(frozen=True)
class Truth:
    """What really stands in the town, counting every duck whether visible or not.

    Args:
        nearest_m: Bumper to the nearest duck in the corridor, along the path; None without one.
        ducks_hit: Touched by the front bumper of the moving robot.
        flank_hits: Touched elsewhere, or walked against the robot while it stood.
    """

    level: Level
    nearest_m: Optional[float]
    speed_mps: float
    command_mps: float
    travelled_m: float
    ducks_met: int
    ducks_hit: int
    flank_hits: int


@dataclass(frozen=True)
class Moment:
    """One whole step's outcome; ducks as (number, x, y, yaw) in the ground frame."""

    pose: Pose
    ducks: Tuple[Tuple[int, float, float, float], ...]
    speed_mps: float
    omega_radps: float
    command_mps: float
    travelled_m: float
    score: Score


class Episode:
    """A drive without pictures: the robot on its loop and the ducks' script. Starts on a straight by default."""

    def __init__(
        self,
        town: Town,
        widths_m: Tuple[float, ...],
        seed: int,
        *,
        duck_every_s: float = 8.0,
        s_m: Optional[float] = None,
        flock: Optional[Flock] = None,
    ) -> None:
        self.path: LanePath = town.path()
        s_m = _first_straight(self.path) if s_m is None else s_m
        self.robot = Robot(self.path.pose(s_m))
        self.flock = flock or Flock(self.path, widths_m, seed, duck_every_s)
        self._command = (0.0, 0.0)
        self.moment = self._freeze()

    def command(self, v_mps: float, omega_radps: float) -> None:
        """What the wheels are told from now on."""
        self._command = (v_mps, omega_radps)

    def step(self, dt_s: float) -> None:
        """Advance robot and ducks. Args: dt_s: at most 0.05, else a fast robot could jump over a duck."""
        if not 0 <= dt_s <= 0.05:
            raise ValueError(f"dt_s is {dt_s}, must be between 0 and 0.05")
        self.robot.step(*self._command, dt_s)
        self.flock.step(self.robot.time_s, dt_s, self.robot)
        self.moment = self._freeze()

    def lane_pose(self) -> LanePose:
        """Where the robot is in its lane, exactly."""
        return self.path.lane_pose(self.moment.pose)

    def truth(self, moment: Optional[Moment] = None) -> Truth:
        """The truth of a moment (default: now)."""
        m = moment or self.moment
        route = self.path.ahead(m.pose, ROUTE_M)
        ducks = m.pose.ahead(BUMPER_M).local(np.array([duck[1:3] for duck in m.ducks]).reshape(-1, 2))
        return Truth(
            level=true_level(ducks, route),
            nearest_m=nearest_in_path_m(ducks, route),
            speed_mps=m.speed_mps,
            command_mps=m.command_mps,
            travelled_m=m.travelled_m,
            ducks_met=m.score.met,
            ducks_hit=m.score.hit,
            flank_hits=m.score.flanked,
        )

    def _freeze(self) -> Moment:
        ducks = tuple((d.number, d.x_m, d.y_m, d.yaw_rad) for d in self.flock.ducks())
        robot = self.robot
        return Moment(robot.pose, ducks, robot.v_mps, robot.omega_radps, self._command[0], robot.travelled_m,
                      self.flock.score)


def _first_straight(path: LanePath) -> float:
    """An arc length just after the loop's first curve."""
    return float(next((s for s in np.arange(0.0, path.length_m, 0.05) if path.curvature(s) == 0), 0.0))


class TownWorld:
    """An endless drive in a town that can be seen; see the module's docstring.

    Args:
        seed: Of the ducks' script, the clutter and the sensor's noise.
        town: A name that town_named() knows.
        look: What the town looks like; by default the one people are shown.
        assets: Duckietown's own tiles, ducks and furniture: a name that assets_named() knows; empty: ours.

    Raises:
        ValueError: No such town or assets; the message lists the names.
    """

    def __init__(
        self, seed: int = 1, town: str = "l_loop", duck_every_s: float = 8.0, look: Optional[Look] = None,
        assets: str = "",
    ) -> None:
        from duck_protection.simulation.official import assets_named
        from duck_protection.simulation.photographer import Photographer

        shape = town_named(town)
        self._camera = Photographer(
            shape, look or replace(DEMO, seed=seed), DUCKS, seed, assets=assets_named(assets)
        )
        self.lens = self._camera.lens
        self.episode = Episode(shape, self._camera.duck_widths_m, seed, duck_every_s=duck_every_s)

    def command(self, v_mps: float, omega_radps: float) -> None:
        """What the wheels are told from now on."""
        self.episode.command(v_mps, omega_radps)

    def step(self, dt_s: float) -> None:
        """Advance robot and ducks, at most 0.05 s."""
        self.episode.step(dt_s)

    def lane_pose(self) -> LanePose:
        """Where the robot is in its lane: d (left of the centre), phi (heading to the left), curvature."""
        return self.episode.lane_pose()

    def truth(self) -> Truth:
        """What really stands there now."""
        return self.episode.truth()

    def render_jpeg(self) -> bytes:
        """What the camera sees now: a 640x480 JPEG."""
        return self._camera.picture(self.episode.moment)

    def photograph(self) -> Tuple[bytes, Truth]:
        """A picture and the truth of the same moment."""
        moment = self.episode.moment
        return self._camera.picture(moment), self.episode.truth(moment)
