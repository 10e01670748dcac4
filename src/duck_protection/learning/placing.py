"""Where robot, ducks and decoys stand in a training frame.

Chooses places only; the truth is computed afterwards from what is visible. Promise: no level is rare (plain: CLEAR 48,
SLOW 26, STOP 26 % of the frames; mixed: 45, 22, 34), and everything that is easily mistaken for a danger occurs often:
ducks in the other lane, just outside the corridor, behind the white line, crowds behind, yellow things.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Dict, List, Tuple

import numpy as np

from duck_protection.simulation.camera import HEIGHT_PX, WIDTH_PX, project
from duck_protection.simulation.robot import WIDTH_M
from duck_protection.simulation.scene import Scene
from duck_protection.simulation.town import BUMPER_M, TILE_M, LanePath, Pose

KINDS = ("none", "in_path", "beside", "edge", "even")
KIND_SHARES = (0.22, 0.60, 0.18, 0.0, 0.0)
NEAREST_M, FARTHEST_M = 0.03, 1.5
OTHER_LANE_M = 0.4 * TILE_M  # from lane centre to lane centre

Place = Tuple[float, float, float]  # x, y, yaw


@dataclass(frozen=True)
class Crowding:
    """How full the road is. Shares are probabilities, in the order that the function which draws them names."""

    decoys: float  # multiplies every decoy's probability
    more_ducks: Tuple[float, float, float]
    crowd: Tuple[float, float, float, float]
    yellow: Tuple[float, float, float, float]
    pose: float  # multiplies how far the robot strays from its lane
    kinds: Tuple[float, ...] = KIND_SHARES
    on_road: float = 0.12  # of the yellow things
    even_m: Tuple[float, float] = (0.15, FARTHEST_M)  # where the nearest duck of kind "even" stands
    grazing: bool = False  # where no duck is cut off, the yellow line grazes the picture's left side


HARD = Crowding(1.0, (0.65, 0.25, 0.10), (0.35, 0.25, 0.2, 0.2), (0.4, 0.3, 0.2, 0.1), 1.0)
PLAIN = Crowding(0.5, (0.85, 0.12, 0.03), (0.7, 0.3, 0.0, 0.0), (0.7, 0.3, 0.0, 0.0), 0.7)
EDGES = replace(PLAIN, kinds=(0.0, 0.0, 0.0, 1.0, 0.0))
YELLOW = replace(PLAIN, kinds=(0.3, 0.55, 0.15, 0.0, 0.0), yellow=(0.0, 0.3, 0.4, 0.3), on_road=0.5)
EVEN = replace(PLAIN, kinds=(1 / 3, 0.0, 0.0, 0.0, 2 / 3))
NEAR = replace(PLAIN, kinds=(0.0, 0.0, 0.0, 0.0, 1.0), even_m=(NEAREST_M, 0.45))
DASHES = replace(PLAIN, kinds=(0.5, 0.0, 0.1, 0.4, 0.0), grazing=True)
EDGE_PX = 45  # a near duck's middle so far beyond the picture's side, or inside it: a part of it shows
EDGE_TRIES = 400  # about one in fifty is cut off
LINE_OFFSET_M, LINE_M = OTHER_LANE_M / 2, 0.7  # the yellow line, left of the lane's centre; looked at so far
GRAZED_PX, GRAZED_ROWS_PX = (-15, 15), (240, 450)  # columns and rows where a dash looks like half a near duck
DUCK_MIDDLE_M = 0.025  # above the road


@dataclass
class Placement:
    """One frame's arrangement; ducks by their number in the scene, other things by their name."""

    robot: Pose
    d_m: float
    phi_rad: float
    kind: str
    ducks: Dict[int, Place] = field(default_factory=dict)
    things: Dict[str, Place] = field(default_factory=dict)

    def arrange(self, scene: Scene) -> None:
        """Put everything there, and nothing else."""
        scene.hide_all()
        for number, (x, y, yaw) in self.ducks.items():
            scene.place(f"duck{number}", x, y, yaw)
        for name, (x, y, yaw) in self.things.items():
            scene.place(name, x, y, yaw)


def choose_placement(
    path: LanePath, ducks_there: int, rng: np.random.Generator, crowding: Crowding = HARD
) -> Placement:
    """A frame's arrangement on this lane, with at most this many ducks."""
    robot, d, phi = _stray(path, rng, crowding)
    start = _bumper_s(path, robot)
    kind, dangers = str(rng.choice(KINDS, p=crowding.kinds)), []
    for _ in range(EDGE_TRIES if kind == "edge" or crowding.grazing else 0):
        dangers = _cut_off(path, robot, start, rng) if kind == "edge" else []
        if dangers or (kind != "edge" and _line_grazes(path, robot, start)):
            break
        robot, d, phi = _stray(path, rng, crowding)
        start = _bumper_s(path, robot)
    placement = Placement(robot, d, phi, kind)
    ducks = rng.permutation(ducks_there).tolist()
    dangers = dangers or _dangers(placement.kind, rng, crowding)
    for along, offset in [*dangers, *_decoys(rng, crowding.decoys)]:
        where = _beside(path, start, along, offset, rng)
        if _free(placement, where):
            placement.ducks[ducks.pop()] = where
    _crowd(placement, path, ducks, rng, crowding)
    _yellow_things(placement, path, start, rng, crowding)
    _robots(placement, path, start, rng)
    return placement


def _stray(path: LanePath, rng: np.random.Generator, crowding: Crowding) -> Tuple[Pose, float, float]:
    """A robot anywhere in its lane, and how it stands there: metres beside its centre, radians."""
    s = rng.uniform(0, path.length_m)
    d = float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)) if rng.random() < 0.6 else rng.uniform(-0.06, 0.06)
    phi = float(np.clip(rng.normal(0, 0.09), -0.35, 0.35)) if rng.random() < 0.6 else rng.uniform(-0.35, 0.35)
    d, phi = d * crowding.pose, phi * crowding.pose
    return path.pose(s, d, phi), d, phi


def _bumper_s(path: LanePath, robot: Pose) -> float:
    bumper = robot.ahead(BUMPER_M)
    return path.nearest((bumper.x_m, bumper.y_m))


def _cut_off(path: LanePath, robot: Pose, start: float, rng: np.random.Generator) -> List[Tuple[float, float]]:
    """(along, offset) of a near duck that the picture's side cuts off; none if this one is not. Some do not matter."""
    offset = rng.uniform(-0.12, 0.12) if rng.random() < 0.6 else _side(rng) * rng.uniform(0.13, 0.45)
    along = rng.uniform(0.1, 0.45)
    spot = path.pose(start + along, offset)
    forward, left = robot.ahead(BUMPER_M).local(np.array([(spot.x_m, spot.y_m)]))[0]
    if forward < 0.02:  # beside the lens or behind it
        return []
    x, y = project(np.array([(forward, left, DUCK_MIDDLE_M)]))[0]
    cut = min(abs(x), abs(x - WIDTH_PX)) <= EDGE_PX
    return [(along, offset)] if cut and 0 <= y < HEIGHT_PX else []


def _line_grazes(path: LanePath, robot: Pose, start: float) -> bool:
    """Whether all that is near of the yellow line is what just reaches into the picture at its left side."""
    line = [path.pose(start + along, LINE_OFFSET_M) for along in np.arange(0.0, LINE_M, 0.02)]
    places = robot.ahead(BUMPER_M).local(np.array([(at.x_m, at.y_m) for at in line]))
    x, y = project(np.column_stack([places, np.zeros(len(places))])[places[:, 0] > 0.02]).T
    near = x[(y >= GRAZED_ROWS_PX[0]) & (y < GRAZED_ROWS_PX[1])]
    return bool(len(near)) and GRAZED_PX[0] < near.max() < GRAZED_PX[1]


def _dangers(kind: str, rng: np.random.Generator, crowding: Crowding) -> List[Tuple[float, float]]:
    """(along, offset) of the ducks that matter."""
    if kind == "none":
        return []
    if kind == "beside":
        return [(rng.uniform(NEAREST_M, 0.8), _side(rng) * rng.uniform(0.12, 0.24))]
    bands = [(NEAREST_M, 0.45), (0.45, 1.0), (1.0, FARTHEST_M)]
    low, high = crowding.even_m if kind == "even" else bands[int(rng.choice(3, p=(0.47, 0.36, 0.17)))]
    nearest = rng.uniform(low, high)
    spots = [(nearest, rng.uniform(-0.12, 0.12))]
    more = int(rng.choice(3, p=crowding.more_ducks))
    return spots + [(nearest + rng.uniform(0.02, 0.8), rng.uniform(-0.22, 0.22)) for _ in range(more)]


def _decoys(rng: np.random.Generator, share: float) -> List[Tuple[float, float]]:
    """(along, offset) of harmless ducks: other lane, just outside the limits, behind the white line."""
    spots: List[Tuple[float, float]] = []
    if rng.random() < 0.40 * share:  # the other lane
        spots += [(rng.uniform(0.05, 2.0), OTHER_LANE_M + rng.uniform(0.01, 0.12)) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.30 * share:  # just outside 0.24 m
        spots.append((rng.uniform(0.05, 0.8), _side(rng) * rng.uniform(0.245, 0.33)))
    if rng.random() < 0.15 * share:  # beside the lane but too far ahead to matter
        spots.append((rng.uniform(0.6, 1.2), _side(rng) * rng.uniform(0.13, 0.24)))
    if rng.random() < 0.45 * share:  # on the grass to the right, or across both lanes
        spots += [(rng.uniform(0.1, 2.0), _roadside(rng)) for _ in range(rng.integers(1, 6))]
    return spots


def _crowd(
    placement: Placement, path: LanePath, ducks: List[int], rng: np.random.Generator, crowding: Crowding
) -> None:
    """Ducks anywhere off the road, sometimes dozens."""
    count = int(rng.choice([0, 4, 10, 24], p=crowding.crowd))
    for _ in range(min(count, len(ducks) - 1)):
        where = _beside(path, rng.uniform(0, path.length_m), 0.0, _roadside(rng) * rng.uniform(1, 2), rng)
        if _lane_distance(path, where) > 0.28 and _free(placement, where):
            placement.ducks[ducks.pop()] = where


def _yellow_things(
    placement: Placement, path: LanePath, start: float, rng: np.random.Generator, crowding: Crowding
) -> None:
    """Yellow things beside the road, now and then on it, as near as ducks come, never where they hide a duck."""
    for i in range(int(rng.choice([0, 2, 5, 8], p=crowding.yellow))):
        on_road = rng.random() < crowding.on_road
        offset = rng.uniform(-0.15, 0.35) if on_road else _roadside(rng)
        along = rng.uniform(0.05, 1.2) if on_road else rng.uniform(0.25, 2.2)
        where = _beside(path, start, along, offset, rng)
        if _free(placement, where, 0.1):
            placement.things[f"yellow{i}"] = where


def _robots(placement: Placement, path: LanePath, start: float, rng: np.random.Generator) -> None:
    if rng.random() < 0.25:
        along, offset = rng.uniform(0.3, 2.5), OTHER_LANE_M + rng.uniform(-0.03, 0.03)
        where = _beside(path, start, along, offset, rng, lanewise=math.pi)
        if _free(placement, where, 0.2):
            placement.things["robot0"] = where
    if rng.random() < 0.10:
        where = _beside(path, start, rng.uniform(0.35, 2.0), rng.uniform(-0.04, 0.04), rng, lanewise=0.0)
        if _free(placement, where, 0.2):
            placement.things["robot1"] = where


def _beside(path: LanePath, start: float, along: float, offset: float, rng: np.random.Generator, *,
            lanewise: float = math.nan) -> Place:
    """A place at this distance along the lane and to its left; facing anywhere, or along the lane plus an angle."""
    at = path.pose(start + along, offset)
    yaw = rng.uniform(-math.pi, math.pi) if math.isnan(lanewise) else at.theta_rad + lanewise + rng.normal(0, 0.1)
    return at.x_m, at.y_m, yaw


def _free(placement: Placement, where: Place, gap_m: float = 0.065) -> bool:
    """Whether nothing else stands there, the own robot included."""
    others = [*placement.ducks.values(), *placement.things.values()]
    if any(math.hypot(where[0] - x, where[1] - y) < gap_m for x, y, _ in others):
        return False
    forward, left = placement.robot.local(np.array([where[:2]]))[0]
    return not (forward < BUMPER_M + 0.02 and forward > -0.15 and abs(left) < WIDTH_M / 2 + 0.03)


def _lane_distance(path: LanePath, where: Place) -> float:
    return float(np.linalg.norm(path.point(path.nearest(where[:2])) - where[:2]))


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _roadside(rng: np.random.Generator) -> float:
    """An offset from the lane's centre: to the right of the road, or to the left of it beyond the other lane."""
    return -rng.uniform(0.26, 0.9) if rng.random() < 0.6 else rng.uniform(0.42, 1.1)
