"""Where the road runs: a Duckietown of square tiles, driven on the right along one closed loop.

Answers: where is the lane's centre line, where is a robot relative to it, and which way does the planned route run
from its bumper? Draws nothing and knows no ducks. Promise: LanePath is continuous in place and heading, and its
lane pose has Duckietown's signs: d positive when left of the lane's centre, phi positive when heading to the left.
Ground frame: x east, y north, metres; headings in radians, anticlockwise from east.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, List, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:  # tiles.py lays a town's tiles
    from duck_protection.simulation.tiles import Thing, Tile

TILE_M = 0.585  # Duckietown's tile with the interlocking rim hidden
LANE_OFFSET_M = 0.20 * TILE_M  # lane centre from the tile's centre; right curves 0.3 tile, left curves 0.7 tile
BUMPER_M = 0.08  # front bumper ahead of the axle
ROUTE_STEP_M = 0.03  # a chord this long leaves the tightest lane (radius 0.176 m) by 0.6 mm

Cell = Tuple[int, int]


@dataclass(frozen=True)
class Pose:
    """Where a robot's axle centre is and which way it heads: metres and radians in the ground frame."""

    x_m: float
    y_m: float
    theta_rad: float

    def ahead(self, distance_m: float) -> Pose:
        """The same heading, moved forward."""
        c, s = math.cos(self.theta_rad), math.sin(self.theta_rad)
        return Pose(self.x_m + distance_m * c, self.y_m + distance_m * s, self.theta_rad)

    def local(self, points: np.ndarray) -> np.ndarray:
        """Ground points, shape (n, 2), as seen from here: x forward, y left."""
        c, s = math.cos(self.theta_rad), math.sin(self.theta_rad)
        delta = np.asarray(points, dtype=np.float64).reshape(-1, 2) - (self.x_m, self.y_m)
        return np.column_stack([delta @ (c, s), delta @ (-s, c)])


@dataclass(frozen=True)
class LanePose:
    """A robot relative to its lane; curvature in 1/m at that place, positive for a left curve."""

    d_m: float
    phi_rad: float
    curvature: float


def wrapped(angle_rad: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


class LanePath:
    """The lane's centre line around the loop, by arc length in metres; every s is taken modulo the length."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        rows = []
        for before, here, after in zip([cells[-1], *cells[:-1]], cells, [*cells[1:], cells[0]]):
            rows.append(_segment(before, here, after))
        self._x, self._y, self._theta, self._kappa, self._length = np.array(rows).T
        self._start = np.concatenate([[0.0], np.cumsum(self._length)[:-1]])
        self.length_m = float(self._length.sum())

    def points(self, s_m: np.ndarray) -> np.ndarray:
        """Places on the centre line, shape (n, 2), for arc lengths of shape (n,)."""
        i, along = self._locate(s_m)
        theta, kappa = self._theta[i], self._kappa[i]
        turned = theta + kappa * along
        safe = np.where(kappa == 0, 1.0, kappa)
        dx = np.where(kappa == 0, along * np.cos(theta), (np.sin(turned) - np.sin(theta)) / safe)
        dy = np.where(kappa == 0, along * np.sin(theta), (np.cos(theta) - np.cos(turned)) / safe)
        return np.column_stack([self._x[i] + dx, self._y[i] + dy])

    def point(self, s_m: float) -> np.ndarray:
        """The place on the centre line at this arc length, shape (2,)."""
        return np.asarray(self.points(np.array([s_m]))[0])

    def heading(self, s_m: float) -> float:
        """The lane's direction at this arc length, radians."""
        i, along = self._locate(np.array([s_m]))
        return wrapped(float(self._theta[i[0]] + self._kappa[i[0]] * along[0]))

    def curvature(self, s_m: float) -> float:
        """1/m at this arc length, positive for a left curve."""
        i, _ = self._locate(np.array([s_m]))
        return float(self._kappa[i[0]])

    def nearest(self, point: Sequence[float]) -> float:
        """The arc length of the centre line's place nearest to a ground point."""
        along = np.where(self._kappa == 0, self._along_lines(point), self._along_arcs(point))
        along = np.clip(along, 0.0, self._length - 1e-9)
        s = self._start + along
        gaps: np.ndarray = self.points(s) - np.asarray(point, dtype=np.float64)
        return float(s[np.argmin(np.einsum("ij,ij->i", gaps, gaps))])

    def pose(self, s_m: float, d_m: float = 0.0, phi_rad: float = 0.0) -> Pose:
        """The robot pose at this arc length with this lane pose."""
        x, y = self.point(s_m)
        theta = self.heading(s_m)
        return Pose(x - d_m * math.sin(theta), y + d_m * math.cos(theta), wrapped(theta + phi_rad))

    def lane_pose(self, pose: Pose) -> LanePose:
        """Where the robot's axle is relative to the lane."""
        s = self.nearest((pose.x_m, pose.y_m))
        (x, y), theta = self.point(s), self.heading(s)
        d = math.cos(theta) * (pose.y_m - y) - math.sin(theta) * (pose.x_m - x)
        return LanePose(d, wrapped(pose.theta_rad - theta), self.curvature(s))

    def ahead(self, pose: Pose, length_m: float = 1.6) -> np.ndarray:
        """The planned route from the bumper on, shape (m, 2), in the bumper frame: what corridor.true_level takes."""
        bumper = pose.ahead(BUMPER_M)
        s = self.nearest((bumper.x_m, bumper.y_m))
        steps = np.linspace(0.0, length_m, max(2, math.ceil(length_m / ROUTE_STEP_M) + 1))
        return bumper.local(self.points(s + steps))

    def _locate(self, s_m: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        s = np.mod(np.asarray(s_m, dtype=np.float64), self.length_m)
        i = np.searchsorted(self._start, s, side="right") - 1
        return i, s - self._start[i]

    def _along_lines(self, point: Sequence[float]) -> np.ndarray:
        return np.asarray((point[0] - self._x) * np.cos(self._theta) + (point[1] - self._y) * np.sin(self._theta))

    def _along_arcs(self, point: Sequence[float]) -> np.ndarray:
        kappa = np.where(self._kappa == 0, 1.0, self._kappa)
        centre_x = self._x - np.sin(self._theta) / kappa
        centre_y = self._y + np.cos(self._theta) / kappa
        sign = np.sign(kappa)
        seen = np.arctan2(point[1] - centre_y, point[0] - centre_x)  # at the start: theta - sign * pi/2
        middle = self._theta - sign * math.pi / 2 + sign * math.pi / 4
        turned = sign * ((seen - middle + math.pi) % (2 * math.pi) - math.pi) + math.pi / 4
        return np.asarray(turned / np.abs(kappa))


def _segment(before: Cell, here: Cell, after: Cell) -> Tuple[float, float, float, float, float]:
    """(x, y, heading, curvature, length) of the lane through one tile."""
    into = (here[0] - before[0], here[1] - before[1])
    out = (after[0] - here[0], after[1] - here[1])
    theta = math.atan2(into[1], into[0])
    x = (here[0] + 0.5 - 0.5 * into[0]) * TILE_M + LANE_OFFSET_M * into[1]
    y = (here[1] + 0.5 - 0.5 * into[1]) * TILE_M - LANE_OFFSET_M * into[0]
    turn = into[0] * out[1] - into[1] * out[0]
    if turn == 0:
        return x, y, theta, 0.0, TILE_M
    radius = 0.5 * TILE_M + turn * LANE_OFFSET_M
    return x, y, theta, turn / radius, radius * math.pi / 2


@dataclass(frozen=True)
class Town:
    """A loop of road tiles: cells (column, row) in driving order, each a neighbour of the next.

    A town laid after a map has all the map's tiles, those of the loop too, and no side roads; things are its furniture.
    """

    name: str
    cells: Tuple[Cell, ...]
    side_roads: Tuple[Tuple[Cell, ...], ...] = ()  # each from its first tile beside the loop outwards (crossings.py)
    tiles: Tuple[Tile, ...] = ()
    things: Tuple[Thing, ...] = ()

    def __post_init__(self) -> None:
        for a, b in zip(self.cells, [*self.cells[1:], self.cells[0]]):
            if abs(a[0] - b[0]) + abs(a[1] - b[1]) != 1:
                raise ValueError(f"map {self.name}: tiles {a} and {b} are not neighbours")
        if len(set(self.cells)) != len(self.cells):
            raise ValueError(f"map {self.name}: the loop meets itself")

    def path(self) -> LanePath:
        """The lane's centre line."""
        return LanePath(self.cells)

    def reverse(self) -> Town:
        """The same road, driven the other way round."""
        return replace(self, name=self.name + "_reversed", cells=self.cells[::-1])

    def roads(self) -> Tuple[Cell, ...]:
        """Every road tile, those of side roads and of a map's other roads included."""
        if self.tiles:
            return tuple(tile.cell for tile in self.tiles if tile.neighbours())
        return (*self.cells, *(cell for road in self.side_roads for cell in road))

    def bounds(self) -> Tuple[int, int, int, int]:
        """First and last column, first and last row."""
        columns, rows = zip(*self.roads())
        return min(columns), max(columns), min(rows), max(rows)


def random_town(seed: int, bumps: int = 3, size: int = 7) -> Town:
    """A loop grown from a rectangle by pushing edges outwards: left and right curves, either direction."""
    rng = np.random.default_rng([seed, 7])
    w, h = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    x0, y0 = int(rng.integers(0, size - w)), int(rng.integers(0, size - h))
    cells = cells_between([(x0, y0), (x0 + w, y0), (x0 + w, y0 + h), (x0, y0 + h)])
    for _ in range(int(rng.integers(0, bumps + 1)) * 4):
        cells = _pushed(cells, int(rng.integers(len(cells))), size)
    return Town(f"random:{seed}", tuple(cells if rng.random() < 0.5 else cells[::-1]))


def _pushed(cells: List[Cell], i: int, size: int) -> List[Cell]:
    """The loop with the edge after tile i pushed out to the right by one tile, if there is room."""
    a, b = cells[i], cells[(i + 1) % len(cells)]
    out = (b[1] - a[1], a[0] - b[0])  # to the right of the way: outwards of an anticlockwise loop
    new = [(p[0] + out[0], p[1] + out[1]) for p in (a, b)]
    if any(p in cells or not (0 <= p[0] < size and 0 <= p[1] < size) for p in new):
        return cells
    return cells[: i + 1] + new + cells[i + 1 :]


def cells_between(corners: Sequence[Cell]) -> List[Cell]:
    """The tiles of a closed walk from corner to corner, each once."""
    cells: List[Cell] = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]]):
        steps = max(abs(bx - ax), abs(by - ay))
        cells += [(ax + (bx - ax) * k // steps, ay + (by - ay) * k // steps) for k in range(steps)]
    return cells
