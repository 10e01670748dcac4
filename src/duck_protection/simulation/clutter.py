"""What stands around in a town and is no duck: houses, boxes, trees, cones, signs, walls, people, robots.

Adds plain geoms to a MuJoCo specification; none of them takes part in physics. Promise: nothing built by
furnish() stands on a road tile.
"""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import mujoco
import numpy as np

from duck_protection.simulation.look import Look
from duck_protection.simulation.town import TILE_M, Town

Geom = mujoco.mjtGeom
Add = Callable[..., Any]
BOX_LOOKS, TAG_LOOKS = 5, 3
CLUTTER = ("box", "box", "house", "tree", "sign", "sign", "cone", "post")  # as often as they stand here
FAR_M = 1.2  # people and big things stand this far outside the town at least


def ghost(body: Any, kind: mujoco.mjtGeom, size: Sequence[float], **more: Any) -> Any:
    """A geom that is only seen."""
    return body.add_geom(type=kind, size=list(size), contype=0, conaffinity=0, mass=0, **more)


def turned(yaw_rad: float) -> List[float]:
    """Quaternion (w, x, y, z) of a turn about the vertical."""
    return [math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2)]


def furnish(
    spec: Any, town: Town, look: Look, rng: np.random.Generator, builders: Optional[Dict[str, Add]] = None
) -> None:
    """Clutter on the tiles beside the road, big things and walls around.

    Args:
        builders: Of things by their name, instead of or beside our own.
    """
    build = {"box": _box, "house": _house, "tree": _tree, "sign": _sign, "cone": _cone, "post": _post}
    kinds = [*CLUTTER, *(kind for kind in builders or {} if kind not in build)]
    build.update(builders or {})
    for _ in range(look.clutter):
        x, y = _beside_road(town, rng)
        body = spec.worldbody.add_body(pos=[x, y, 0.0], quat=turned(rng.uniform(-math.pi, math.pi)))
        build[kinds[int(rng.integers(len(kinds)))]](body, rng)
    for _ in range(int(rng.integers(0, 7))):
        _person(spec, town, rng)
    _walls(spec, town, rng)


def add_robot(body: Any, rng: np.random.Generator) -> None:
    """Another Duckiebot, its axle over the body's origin, facing x."""
    paint = [*(rng.uniform(0.0, 0.8) * rng.uniform(0.2, 1, 3)), 1] if rng.random() < 0.5 else [0.7, 0.04, 0.06, 1]
    ghost(body, Geom.mjGEOM_BOX, [0.085, 0.045, 0.022], pos=[-0.01, 0, 0.05], rgba=paint)
    ghost(body, Geom.mjGEOM_BOX, [0.06, 0.04, 0.025], pos=[-0.01, 0, 0.095], rgba=[0.08, 0.08, 0.09, 1])
    ghost(body, Geom.mjGEOM_BOX, [0.003, 0.068, 0.025], pos=[-0.1, 0, 0.05], material="plate")
    ghost(body, Geom.mjGEOM_BOX, [0.003, 0.06, 0.015], pos=[0.075, 0, 0.03], rgba=[0.75, 0.75, 0.78, 1])
    for side in (-1, 1):
        ghost(body, Geom.mjGEOM_CYLINDER, [0.033, 0.012], pos=[0, side * 0.055, 0.033],
              quat=[0.7071, 0.7071, 0, 0], rgba=[0.9, 0.7, 0.1, 1] if rng.random() < 0.6 else [0.1, 0.1, 0.1, 1])
        ghost(body, Geom.mjGEOM_SPHERE, [0.008, 0, 0], pos=[0.078, side * 0.045, 0.05], material="glow")
        ghost(body, Geom.mjGEOM_SPHERE, [0.007, 0, 0], pos=[-0.1, side * 0.06, 0.08], material="tail_glow")


def add_yellow_thing(body: Any, rng: np.random.Generator) -> None:
    """Something yellow or orange that is no duck: ball, block, cup, lemon or cone."""
    colour = [rng.uniform(0.75, 1.0), rng.uniform(0.35, 0.85), rng.uniform(0.0, 0.3), 1]
    r = rng.uniform(0.018, 0.045)
    kind = int(rng.integers(5))
    if kind == 0:
        ghost(body, Geom.mjGEOM_SPHERE, [r, 0, 0], pos=[0, 0, r], rgba=colour)
    elif kind == 1:
        ghost(body, Geom.mjGEOM_BOX, [r, r * rng.uniform(0.4, 1), r * 0.8], pos=[0, 0, r * 0.8], rgba=colour)
    elif kind == 2:
        ghost(body, Geom.mjGEOM_CYLINDER, [r * 0.8, r * 1.2, 0], pos=[0, 0, r * 1.2], rgba=colour)
    elif kind == 3:
        ghost(body, Geom.mjGEOM_ELLIPSOID, [r * 1.4, r * 0.8, r * 0.8], pos=[0, 0, r * 0.8], rgba=colour)
    else:
        ghost(body, Geom.mjGEOM_MESH, [0, 0, 0], meshname="cone_small", rgba=colour)


def _beside_road(town: Town, rng: np.random.Generator) -> Tuple[float, float]:
    left, right, low, high = town.bounds()
    while True:
        cell = (int(rng.integers(left - 1, right + 2)), int(rng.integers(low - 1, high + 2)))
        if cell not in town.roads():
            inside = rng.uniform(0.2, 0.8, 2)
            return (cell[0] + inside[0]) * TILE_M, (cell[1] + inside[1]) * TILE_M


def _box(body: Any, rng: np.random.Generator) -> None:
    w, d, h = rng.uniform(0.03, 0.10), rng.uniform(0.02, 0.08), rng.uniform(0.04, 0.17)
    ghost(body, Geom.mjGEOM_BOX, [w, d, h], pos=[0, 0, h], material=f"box{rng.integers(BOX_LOOKS)}")


def _house(body: Any, rng: np.random.Generator) -> None:
    w, h = rng.uniform(0.06, 0.1), rng.uniform(0.04, 0.09)
    ghost(body, Geom.mjGEOM_BOX, [w, w, h], pos=[0, 0, h], material=f"box{rng.integers(BOX_LOOKS)}")
    roof = [*(rng.uniform(0.1, 0.7) * rng.uniform(0.3, 1, 3)), 1]
    ghost(body, Geom.mjGEOM_MESH, [0, 0, 0], meshname="roof", pos=[0, 0, 2 * h], rgba=roof)


def _tree(body: Any, rng: np.random.Generator) -> None:
    h, green = rng.uniform(0.05, 0.15), [rng.uniform(0.03, 0.2), rng.uniform(0.2, 0.5), rng.uniform(0.02, 0.15), 1]
    ghost(body, Geom.mjGEOM_CYLINDER, [0.012, h / 2, 0], pos=[0, 0, h / 2], rgba=[0.3, 0.2, 0.1, 1])
    ghost(body, Geom.mjGEOM_ELLIPSOID, [0.06, 0.06, 0.09], pos=[0, 0, h + 0.05], rgba=green)


def _sign(body: Any, rng: np.random.Generator) -> None:
    ghost(body, Geom.mjGEOM_CYLINDER, [0.006, 0.06, 0], pos=[0, 0, 0.06], rgba=[0.6, 0.6, 0.6, 1])
    ghost(body, Geom.mjGEOM_BOX, [0.004, 0.035, 0.035], pos=[0, 0, 0.09], material=f"tag{rng.integers(TAG_LOOKS)}")
    if rng.random() < 0.6:
        colour = [*rng.uniform(0, 1, 3), 1] if rng.random() < 0.5 else [0.9, 0.75, 0.1, 1]
        ghost(body, Geom.mjGEOM_BOX, [0.004, 0.028, 0.028], pos=[0, 0, 0.155], quat=[0.924, 0.383, 0, 0], rgba=colour)


def _cone(body: Any, rng: np.random.Generator) -> None:
    colour = [rng.uniform(0.8, 1), rng.uniform(0.2, 0.45), 0.05, 1]
    ghost(body, Geom.mjGEOM_MESH, [0, 0, 0], meshname="cone_small", rgba=colour)


def _post(body: Any, rng: np.random.Generator) -> None:
    h = rng.uniform(0.1, 0.35)
    ghost(body, Geom.mjGEOM_CYLINDER, [rng.uniform(0.006, 0.02), h, 0], pos=[0, 0, h],
          rgba=[*(rng.uniform(0.1, 0.9) * rng.uniform(0.4, 1, 3)), 1])
    if rng.random() < 0.5:
        lamp: Dict[int, str] = {0: "glow", 1: "tail_glow", 2: "green_glow"}
        ghost(body, Geom.mjGEOM_SPHERE, [0.014, 0, 0], pos=[0.01, 0, 2 * h], material=lamp[int(rng.integers(3))])


def _around(town: Town, rng: np.random.Generator, distance_m: float) -> Tuple[float, float, float]:
    """A place on a ring outside the town and the direction from its middle."""
    left, right, low, high = (edge * TILE_M for edge in town.bounds())
    angle = rng.uniform(-math.pi, math.pi)
    reach = math.hypot(right - left, high - low) / 2 + distance_m
    return (left + right) / 2 + reach * math.cos(angle), (low + high) / 2 + reach * math.sin(angle), angle


def _person(spec: Any, town: Town, rng: np.random.Generator) -> None:
    x, y, angle = _around(town, rng, FAR_M + rng.uniform(0, 1.5))
    body = spec.worldbody.add_body(pos=[x, y, 0], quat=turned(angle))
    shirt, trousers = ([*(rng.uniform(0.02, 0.7) * rng.uniform(0.4, 1, 3)), 1] for _ in range(2))
    for side in (-1, 1):
        ghost(body, Geom.mjGEOM_CAPSULE, [0.07, 0.38, 0], pos=[0, side * 0.1, 0.42], rgba=trousers)
    ghost(body, Geom.mjGEOM_ELLIPSOID, [0.16, 0.24, 0.36], pos=[0, 0, 1.15], rgba=shirt)
    ghost(body, Geom.mjGEOM_SPHERE, [0.12, 0, 0], pos=[0, 0, 1.6], rgba=[0.6, 0.45, 0.36, 1])


def _walls(spec: Any, town: Town, rng: np.random.Generator) -> None:
    left, right, low, high = (edge * TILE_M for edge in town.bounds())
    height, width = rng.uniform(0.25, 1.6), 6.0
    for number, (nx, ny) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        gap = rng.uniform(0.7, 3.5)
        x = {1: left - gap, -1: right + TILE_M + gap, 0: (left + right) / 2}[nx]
        y = {1: low - gap, -1: high + TILE_M + gap, 0: (low + high) / 2}[ny]
        across = np.array([-ny, nx, 0.0])
        frame = np.column_stack([across, [0, 0, 1.0], np.cross(across, [0, 0, 1.0])])
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, frame.ravel())
        tall = height * rng.uniform(0.8, 1.5)
        ghost(spec.worldbody, Geom.mjGEOM_PLANE, [width, tall, 0.1], pos=[x, y, tall], quat=quat.tolist(),
              material=f"wall{number}")
