"""What a scene takes from Duckietown's own files (official.py, obj.py): pictures, the duck, furniture.

Answers: which pictures take the place of ours, the duck in our duck's measures, and what stands where a map says so.
Promise: a thing of a map is built where the map says, unless any corner of it would stand on a road tile.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple

import mujoco
import numpy as np

from duck_protection.simulation import shapes
from duck_protection.simulation.clutter import ghost, turned
from duck_protection.simulation.obj import Part, read_obj
from duck_protection.simulation.official import Assets, read_picture
from duck_protection.simulation.tiles import GROUNDS, STRAIGHTS, WAYS, Thing
from duck_protection.simulation.town import TILE_M, Cell, Town

CLUTTER_M = {"house": 0.35, "tree": 0.25, "cone": 0.08, "barrier": 0.08}  # heights, as the package's maps have them
REACH_M = 0.2 * TILE_M  # clutter stands at least this far from its tile's edge, and must not reach over the road
AddPicture = Callable[[str, np.ndarray], None]  # a material of this name with this picture
AddMesh = Callable[[str, shapes.Mesh, float], None]  # a mesh of this name, this many times as large
Builder = Callable[[Any, np.random.Generator], None]


def official_duck(assets: Assets) -> Tuple[shapes.Mesh, np.ndarray]:
    """The duck as shapes.duck_mesh() has it, DUCK_WIDTH wide and facing x, and its picture.

    Raises:
        ValueError: The mesh or its picture is not there, or is something else.
    """
    path = assets.mesh("duckie")
    parts = read_obj(path) if path else ()
    pictures = [part.skin.picture for part in parts if part.skin.picture is not None]
    if not pictures:
        raise ValueError(f"no duckie with a picture in {assets.folder / 'meshes'}")
    meshes = [part.mesh for part in parts]
    firsts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    duck = shapes.Mesh(
        vertices * (shapes.DUCK_WIDTH / float(np.ptp(vertices[:, 1]))),
        np.concatenate([mesh.faces + first for mesh, first in zip(meshes, firsts)]),
        np.concatenate([mesh.places for mesh in meshes]),
    )
    return duck, read_picture(pictures[0])


def official_pictures(assets: Assets, ducks: int) -> Dict[str, np.ndarray]:
    """The pictures that take the place of a scene's own, by its materials' names; so many ducks alike.

    Raises:
        ValueError: One is not there or cannot be read.
    """
    pictures = {kind: assets.tile(kind) for kind in (*WAYS, *GROUNDS)}
    pictures.update({f"straight{i}": pictures["straight"] for i in range(STRAIGHTS)})
    skin = official_duck(assets)[1]
    return {**pictures, **{f"duck{i}": skin for i in range(ducks)}}


class Furniture:
    """Builds the package's things into one specification; meshes and pictures are added when first needed."""

    def __init__(self, assets: Assets, add_picture: AddPicture, add_mesh: AddMesh) -> None:
        self._assets, self._add_picture, self._add_mesh = assets, add_picture, add_mesh
        self._pictures: Dict[Path, str] = {}
        self._built: Dict[Tuple[Path, float], List[Dict[str, Any]]] = {}

    def builders(self) -> Dict[str, Builder]:
        """Those that stand in for clutter.BUILDERS; only of things that the package has."""
        paths = {kind: self._assets.mesh(kind) for kind in CLUTTER_M}
        return {kind: self._builder(path, CLUTTER_M[kind]) for kind, path in paths.items() if path}

    def furnish(self, spec: Any, town: Town) -> int:
        """Put the map's things in place and say how many there are; those without a mesh are left out."""
        roads, built = set(town.roads()), 0
        for thing in town.things:
            path = self._assets.mesh(thing.kind)
            if path is None or roads & _under(thing, read_obj(path)):
                continue
            body = spec.worldbody.add_body(pos=[thing.x_m, thing.y_m, 0.0], quat=turned(thing.yaw_rad))
            self._build(body, path, thing.height_m)
            built += 1
        return built

    def _builder(self, path: Path, height_m: float) -> Builder:
        reach = max(float(np.hypot(*part.mesh.vertices[:, :2].T).max()) for part in read_obj(path))  # a metre high
        fitting_m = min(height_m, REACH_M / reach)
        return lambda body, _rng: self._build(body, path, fitting_m)

    def _build(self, body: Any, path: Path, height_m: float) -> None:
        if (path, height_m) not in self._built:
            named = [(f"{path.stem}{i}", part) for i, part in enumerate(read_obj(path))]
            self._built[path, height_m] = [self._geom(part, height_m, name) for name, part in named]
        for geom in self._built[path, height_m]:
            ghost(body, mujoco.mjtGeom.mjGEOM_MESH, [0, 0, 0], **geom)

    def _geom(self, part: Part, height_m: float, name: str) -> Dict[str, Any]:
        """What ghost() wants for this part, its mesh and picture added."""
        mesh, picture = f"official_{name}_{height_m}", part.skin.picture
        self._add_mesh(mesh, part.mesh, height_m)
        if picture is None:
            return {"meshname": mesh, "rgba": [*part.skin.colour, 1]}
        if picture not in self._pictures:
            self._pictures[picture] = f"official_{name}"
            self._add_picture(self._pictures[picture], read_picture(picture))
        return {"meshname": mesh, "material": self._pictures[picture]}


def _under(thing: Thing, parts: Tuple[Part, ...]) -> Set[Cell]:
    """The tiles below a thing: those of the corners, the edges' middles and the middle of its outline."""
    points = np.concatenate([part.mesh.vertices for part in parts])[:, :2] * thing.height_m
    (left, low), (right, high) = points.min(axis=0), points.max(axis=0)
    grid = np.stack(np.meshgrid(np.linspace(left, right, 3), np.linspace(low, high, 3)), axis=-1).reshape(-1, 2)
    c, s = math.cos(thing.yaw_rad), math.sin(thing.yaw_rad)
    ground: np.ndarray = grid @ np.array([[c, s], [-s, c]]) + (thing.x_m, thing.y_m)
    return {(int(x), int(y)) for x, y in np.floor(ground / TILE_M)}
