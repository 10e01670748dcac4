"""The town as a MuJoCo model: tiles, ducks, clutter and lamps in one Look.

Ducks, yellow things, other robots and the eye are mocap bodies: they move without recompiling. A new Look needs a
new Scene (about 0.1 s). Promise: nothing but what was placed stands on the road; what is unused lies out of sight.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Collection, Dict, Optional, Tuple

import mujoco
import numpy as np

from duck_protection.simulation import paint, shapes
from duck_protection.simulation.clutter import (
    BOX_LOOKS,
    TAG_LOOKS,
    add_robot,
    add_yellow_thing,
    furnish,
    ghost,
    turned,
)
from duck_protection.simulation.furniture import Furniture, official_duck, official_pictures
from duck_protection.simulation.look import Look
from duck_protection.simulation.official import Assets
from duck_protection.simulation.tiles import STRAIGHTS, laid_tiles
from duck_protection.simulation.town import TILE_M, Town

HIDDEN = (0.0, 0.0, -5.0)  # below the floor, which is opaque from above
FLOOR_M = 40.0


class Scene:
    """One compiled town; `model` and `data` are MuJoCo's.

    Args:
        assets: Duckietown's own tiles, ducks and furniture instead of ours, and a map's furniture among the clutter.

    Raises:
        ValueError: One of their files is missing or cannot be read.
    """

    def __init__(
        self, town: Town, look: Look, *, ducks: int = 24, yellow: int = 6, robots: int = 2,
        assets: Optional[Assets] = None,
    ) -> None:
        rng = np.random.default_rng([look.seed, 13])
        self._pictures: Dict[str, np.ndarray] = {}
        self._theirs = official_pictures(assets, len(look.duck_colours)) if assets else {}
        spec = mujoco.MjSpec()
        _settings(spec, look)
        self._add_materials(spec, look, rng)
        if town.side_roads or town.tiles:
            self._add_crossings(spec, look)
        _add_meshes(spec, look, official_duck(assets)[0] if assets else shapes.duck_mesh())
        _lay_tiles(spec, town, self._pictures)
        self._furnish(spec, town, look, rng, assets)
        self.duck_width_m = [look.duck_width_m(i) for i in range(ducks)]
        for i in range(ducks):
            _add_duck(spec, look, i)
        for kind, count, build in (("yellow", yellow, add_yellow_thing), ("robot", robots, add_robot)):
            for i in range(count):
                build(spec.worldbody.add_body(name=f"{kind}{i}", mocap=True, pos=list(HIDDEN)), rng)
        _add_eye(spec, look)
        self.model = spec.compile()
        self._upload()
        self.data = mujoco.MjData(self.model)
        self._mocap = {self.model.body(i).name: int(self.model.body_mocapid[i]) for i in range(self.model.nbody)}
        self._duck_of_geom = {self.model.geom(f"duck{i}").id: i for i in range(ducks)}
        mujoco.mj_forward(self.model, self.data)

    def place(self, name: str, x_m: float, y_m: float, yaw_rad: float = 0.0, z_m: float = 0.0) -> None:
        """Put duckN, yellowN or robotN on the ground (or z_m above it)."""
        i = self._mocap[name]
        self.data.mocap_pos[i] = (x_m, y_m, z_m)
        self.data.mocap_quat[i] = turned(yaw_rad)

    def hide(self, name: str) -> None:
        """Take a placed thing out of sight."""
        self.data.mocap_pos[self._mocap[name]] = HIDDEN

    def hide_all(self) -> None:
        """Take everything placed out of sight."""
        self.data.mocap_pos[:] = HIDDEN

    def aim(self, place: Tuple[float, float, float], quat: np.ndarray) -> None:
        """Put the eye (and the lamp that casts shadows near it) in place and bring all bodies up to date."""
        self.data.mocap_pos[self._mocap["eye"]] = place
        self.data.mocap_quat[self._mocap["eye"]] = quat
        self.data.mocap_pos[self._mocap["lamp"]] = (place[0], place[1], 0.0)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def duck_table(self) -> np.ndarray:
        """For each geom its duck's number plus one, or zero; int32, shape (ngeom,)."""
        table = np.zeros(self.model.ngeom, np.int32)
        for geom, duck in self._duck_of_geom.items():
            table[geom] = duck + 1
        return table

    def _furnish(
        self, spec: Any, town: Town, look: Look, rng: np.random.Generator, assets: Optional[Assets]
    ) -> None:
        if assets is None:
            furnish(spec, town, look, rng)
            return
        flat = mujoco.mjtTexture.mjTEXTURE_2D
        furniture = Furniture(assets, lambda name, picture: self._material(spec, name, flat, picture),
                              lambda name, mesh, scale: _add_mesh(spec, name, mesh, (scale,) * 3))
        stand = furniture.furnish(spec, town)
        furnish(spec, town, replace(look, clutter=max(0, look.clutter - stand)), rng, furniture.builders())

    def _add_crossings(self, spec: Any, look: Look) -> None:
        rng = np.random.default_rng([look.seed, 37])  # its own: a town without crossings looks as it always did
        for ways in (3, 4):
            picture = paint.crossing_tile(ways, look.paint, rng)
            self._material(spec, f"crossing{ways}", mujoco.mjtTexture.mjTEXTURE_2D, picture, gloss=0.25)

    def _add_materials(self, spec: Any, look: Look, rng: np.random.Generator) -> None:
        flat, cube = mujoco.mjtTexture.mjTEXTURE_2D, mujoco.mjtTexture.mjTEXTURE_CUBE
        for i in range(STRAIGHTS):
            self._material(spec, f"straight{i}", flat, paint.road_tile("straight", look.paint, rng), gloss=0.25)
        self._material(spec, "curve", flat, paint.road_tile("curve", look.paint, rng), gloss=0.25)
        self._material(spec, "floor", flat, paint.floor_tile(look.paint, rng), repeat=(2 * FLOOR_M / TILE_M,) * 2)
        for i in range(4):
            self._material(spec, f"wall{i}", flat, paint.wall(rng), repeat=(3.0, 1.0))
        for i in range(BOX_LOOKS):
            colour = (0.55, 0.40, 0.32) if rng.random() < 0.5 else tuple(rng.uniform(0.1, 0.9, 3))
            self._material(spec, f"box{i}", cube, np.tile(paint.patchwork(rng, colour), (6, 1, 1)))
        for i in range(TAG_LOOKS):
            self._material(spec, f"tag{i}", cube, np.tile(paint.tag(rng), (6, 1, 1)))
        self._material(spec, "plate", cube, np.tile(paint.bumper_plate(), (6, 1, 1)))
        for i, colour in enumerate(look.duck_colours):
            skin = shapes.duck_skin(np.array(colour), np.array(look.beak))
            self._material(spec, f"duck{i}", flat, skin, gloss=look.gloss)
        for kind in ("grass", "asphalt") if self._theirs else ():
            self._material(spec, kind, flat, self._theirs[kind], gloss=0.0)
        self._texture(spec, "hall", mujoco.mjtTexture.mjTEXTURE_SKYBOX, paint.hall(rng, look.darkness))
        for name, rgba in (("glow", [1, 1, 1, 1]), ("tail_glow", [1, 0.1, 0.1, 1]), ("green_glow", [0.2, 1, 0.3, 1])):
            spec.add_material(name=name, rgba=rgba, emission=1.0)

    def _material(self, spec: Any, name: str, kind: mujoco.mjtTexture, picture: np.ndarray,
                  repeat: Tuple[float, float] = (1.0, 1.0), gloss: float = 0.1) -> None:
        self._texture(spec, name, kind, picture)
        material = spec.add_material(name=name, specular=gloss, shininess=0.4, texrepeat=list(repeat))
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name

    def _texture(self, spec: Any, name: str, kind: mujoco.mjtTexture, picture: np.ndarray) -> None:
        picture = self._theirs.get(name, picture)
        height, width = picture.shape[:2]
        spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3,
                         builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT)
        self._pictures[name] = picture

    def _upload(self) -> None:
        """Paint over the flat textures: the specification takes pictures only as slow lists."""
        for name, picture in self._pictures.items():
            start = self.model.tex_adr[self.model.texture(name).id]
            self.model.tex_data[start : start + picture.size] = picture.ravel()


def _settings(spec: Any, look: Look) -> None:
    spec.stat.extent = 1.0  # znear and the shadow's reach below are in metres then
    spec.stat.center = [0, 0, 0]
    spec.visual.map.znear = 0.01
    spec.visual.map.zfar = 60.0
    spec.visual.map.shadowclip = 1.6
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 0  # multisampling doubles the time; lens and resizing soften the edges
    spec.visual.headlight.ambient = (np.array(look.light.colour) * look.light.ambient).tolist()
    spec.visual.headlight.diffuse = [0.05] * 3
    spec.visual.headlight.specular = [0.0] * 3


def _add_meshes(spec: Any, look: Look, duck: shapes.Mesh) -> None:
    for i, width in enumerate(look.duck_widths_m):
        _add_mesh(spec, f"duck{i}", duck, (width / shapes.DUCK_WIDTH,) * 3)
    _add_mesh(spec, "roof", shapes.prism_mesh(), (0.2, 0.24, 0.1))
    _add_mesh(spec, "cone_small", shapes.cone_mesh(), (0.07, 0.07, 0.08))


def _add_mesh(spec: Any, name: str, mesh: shapes.Mesh, scale: Tuple[float, float, float]) -> None:
    spec.add_mesh(
        name=name,
        uservert=(mesh.vertices * scale).ravel().tolist(),
        userface=mesh.faces.ravel().tolist(),
        usertexcoord=mesh.places.ravel().tolist(),
        smoothnormal=name.startswith("duck"),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )


def _add_duck(spec: Any, look: Look, i: int) -> None:
    body = spec.worldbody.add_body(name=f"duck{i}", mocap=True, pos=list(HIDDEN))
    ghost(body, mujoco.mjtGeom.mjGEOM_MESH, [0, 0, 0], name=f"duck{i}", meshname=f"duck{i % len(look.duck_widths_m)}",
          material=f"duck{i % len(look.duck_colours)}")
    width = look.duck_width_m(i)
    for grow in () if look.light.shadows else (0.48, 0.60):  # a cheap soft shadow: cast ones double a frame's time
        ghost(body, mujoco.mjtGeom.mjGEOM_CYLINDER, [width * grow, 0.0004, 0], pos=[0, 0, 0.001 + 0.001 * grow],
              rgba=[0, 0, 0, 0.3])


def _lay_tiles(spec: Any, town: Town, materials: Collection[str]) -> None:
    ghost(spec.worldbody, mujoco.mjtGeom.mjGEOM_PLANE, [FLOOR_M, FLOOR_M, 0.1], pos=[0, 0, -0.003], material="floor")
    half = TILE_M / 2
    for cell, material, turn in laid_tiles(town):
        if material in materials:  # a map's grass and asphalt are ours to paint only with its pictures
            place = [(cell[0] + 0.5) * TILE_M, (cell[1] + 0.5) * TILE_M, 0.0]
            ghost(spec.worldbody, mujoco.mjtGeom.mjGEOM_PLANE, [half, half, 0.1], pos=place, quat=turned(turn),
                  material=material)


def _add_eye(spec: Any, look: Look) -> None:
    light, colour = look.light, np.array(look.light.colour)
    directional, spot = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, mujoco.mjtLightType.mjLIGHT_SPOT
    lamp = spec.worldbody.add_body(name="lamp", mocap=True)
    direction = np.array(light.direction) / np.linalg.norm(light.direction)
    lamp.add_light(name="key", type=directional, pos=(-1.5 * direction).tolist(), dir=direction.tolist(),
                   diffuse=(colour * light.key).tolist(), specular=(colour * light.key).tolist(),
                   castshadow=light.shadows)
    spec.worldbody.add_light(name="fill", type=directional, pos=[0, 0, 3], dir=[-direction[0], -direction[1], -1.0],
                             diffuse=(colour * light.fill).tolist(), castshadow=False)
    eye = spec.worldbody.add_body(name="eye", mocap=True)
    eye.add_camera(name="eye", fovy=90)
    if light.robot_lamp > 0:
        eye.add_light(name="robot_lamp", type=spot, pos=[0, -0.05, 0], dir=[0, -0.25, -1], cutoff=50, exponent=8,
                      attenuation=[0.6, 1.5, 3.0], diffuse=[light.robot_lamp] * 3, castshadow=False)
