"""The Duckiebot's camera: where it sits, its fisheye, its sensor; and which ducks its picture shows.

A wide pinhole picture is rendered offscreen (EGL, no display) and bent through K and D; then a seeded sensor adds
exposure, colour cast, vignette, motion blur, noise and JPEG. Pictures are uint8, shape (480, 640, 3), RGB order.
Promise: the same scene, lens and generator give the same bytes; two different generators never do.
One Eye belongs to the thread that made it.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import cv2
import mujoco
import numpy as np

from duck_protection.simulation.scene import Scene
from duck_protection.simulation.town import BUMPER_M, Pose

WIDTH_PX, HEIGHT_PX = 640, 480
PINHOLE_PX = (736, 552)  # width, height: 223 px per unit of slope; the bent picture has 305, models see about 183
PINHOLE_SLOPE_Y = 1.24  # tangent of half its vertical view; the lens reaches 1.15 at the corners, jitter a little more
PINHOLE_SLOPE_X = PINHOLE_SLOPE_Y * PINHOLE_PX[0] / PINHOLE_PX[1]
CAMERA_AHEAD_M = 0.066  # of the axle; height and pitch below: the official simulator's Duckiebot
COUNTED_PX = 12  # a duck with fewer visible pixels does not count in a frame's truth


@dataclass(frozen=True)
class Lens:
    """Intrinsics in pixels of the 640x480 picture; default: the official simulator's DB18."""

    fx: float = 305.572
    fy: float = 308.834
    cx: float = 303.080
    cy: float = 231.885
    distortion: Tuple[float, float, float, float, float] = (-0.2, 0.0305, 0.000586, -0.00067, 0.0)

    def matrix(self) -> np.ndarray:
        """K, shape (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True)
class Mount:
    """Where the camera sits on the robot."""

    height_m: float = 0.108
    pitch_rad: float = math.radians(19.15)  # downwards
    roll_rad: float = 0.0


@dataclass(frozen=True)
class SeenDuck:
    """A duck in the picture: its number, visible pixels, and box (x0, y0, x1, y1), ends not included."""

    duck: int
    pixels: int
    box: Tuple[int, int, int, int]


class Eye:
    """Renders scenes; holds the OpenGL context."""

    def __init__(self, lens: Optional[Lens] = None) -> None:
        from mujoco.egl import GLContext  # EGL whatever MUJOCO_GL says: there is no display

        self._gl = GLContext(*PINHOLE_PX)
        self._gl.make_current()
        self._context: Any = None
        self._scene: Optional[Scene] = None
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._buffer = np.empty((PINHOLE_PX[1], PINHOLE_PX[0], 3), np.uint8)
        self.wear(lens or Lens())

    def wear(self, lens: Lens) -> None:
        """Look through another lens from now on."""
        self._map_x, self._map_y = _bend(lens)
        self._fast_maps = cv2.convertMaps(self._map_x, self._map_y, cv2.CV_16SC2)

    def enter(self, scene: Scene) -> None:
        """Look into this scene from now on (uploads its pictures: about 50 ms)."""
        self._gl.make_current()
        if self._context is not None:
            self._context.free()
        model = scene.model
        model.vis.global_.offwidth, model.vis.global_.offheight = PINHOLE_PX
        model.cam_fovy[0] = math.degrees(2 * math.atan(PINHOLE_SLOPE_Y))
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._view = mujoco.MjvScene(model, maxgeom=model.ngeom + 50)
        self._camera.fixedcamid = 0
        self._scene = scene
        self._ducks = np.append(scene.duck_table(), 0)

    def look(self, robot: Pose, mount: Mount = Mount()) -> np.ndarray:
        """What the lens shows, before the sensor: uint8 (480, 640, 3) RGB."""
        self._aim(robot, mount)
        picture = self._draw(segment=False)
        bent = cv2.remap(picture, *self._fast_maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(bent)

    def ducks(self) -> List[SeenDuck]:
        """Every duck with a visible pixel in the last look()."""
        codes = self._draw(segment=True).astype(np.int32)
        geoms = codes[..., 0] + (codes[..., 1] << 8) + (codes[..., 2] << 16)  # zero: nothing; else scene geom + 1
        objects = [self._view.geoms[i] for i in range(self._view.ngeom)]
        known = {g.segid + 1: g.objid for g in objects if g.objtype == mujoco.mjtObj.mjOBJ_GEOM and g.segid >= 0}
        table = np.zeros(max(known, default=0) + 2, np.int16)
        for code, geom in known.items():
            table[code] = self._ducks[geom]
        ids = table[np.minimum(geoms, len(table) - 1)]
        bent = cv2.remap(ids, self._map_x, self._map_y, cv2.INTER_NEAREST)
        return _boxes(bent)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._context is not None:
            self._context.free()
            self._context = None
        self._gl.free()

    def _aim(self, robot: Pose, mount: Mount) -> None:
        assert self._scene is not None, "enter() a scene first"
        at = robot.ahead(CAMERA_AHEAD_M)
        self._scene.aim((at.x_m, at.y_m, mount.height_m), _quaternion(robot.theta_rad, mount))
        mujoco.mjv_updateScene(self._scene.model, self._scene.data, mujoco.MjvOption(), mujoco.MjvPerturb(),
                               self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._view)

    def _draw(self, *, segment: bool) -> np.ndarray:
        flags = self._view.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = segment
        flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = segment
        self._gl.make_current()
        whole = mujoco.MjrRect(0, 0, *PINHOLE_PX)
        mujoco.mjr_render(whole, self._view, self._context)
        mujoco.mjr_readPixels(self._buffer, None, whole, self._context)
        return self._buffer[::-1]


def project(points: np.ndarray, lens: Lens = Lens(), mount: Mount = Mount()) -> np.ndarray:
    """Pixels, shape (n, 2), of places (x forward of the bumper, y left, z up), shape (n, 3), all ahead of the lens."""
    lens_at = np.array([CAMERA_AHEAD_M - BUMPER_M, 0.0, mount.height_m])
    p = np.asarray(points, dtype=np.float64) - lens_at
    c, s = math.cos(mount.pitch_rad), math.sin(mount.pitch_rad)
    seen = np.column_stack([-p[:, 1], -s * p[:, 0] - c * p[:, 2], c * p[:, 0] - s * p[:, 2]])
    pixels, _ = cv2.projectPoints(seen, np.zeros(3), np.zeros(3), lens.matrix(), np.array(lens.distortion))
    return np.asarray(pixels).reshape(-1, 2)


def _quaternion(heading_rad: float, mount: Mount) -> np.ndarray:
    """The eye's turn: it looks along its -z, its x is to the right, its y up."""
    ch, sh = math.cos(heading_rad), math.sin(heading_rad)
    cp, sp = math.cos(mount.pitch_rad), math.sin(mount.pitch_rad)
    look, right = np.array([ch * cp, sh * cp, -sp]), np.array([sh, -ch, 0.0])
    up = np.cross(right, look)
    cr, sr = math.cos(mount.roll_rad), math.sin(mount.roll_rad)
    right, up = cr * right + sr * up, cr * up - sr * right
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([right, up, -look]).ravel())
    return quat


def _bend(lens: Lens) -> Tuple[np.ndarray, np.ndarray]:
    """For every pixel of the bent picture, the place in the pinhole picture; float32 maps."""
    full = np.stack(np.meshgrid(np.arange(WIDTH_PX), np.arange(HEIGHT_PX)), -1).reshape(-1, 1, 2).astype(np.float64)
    criteria = (cv2.TERM_CRITERIA_COUNT, 12, 0)
    slope = cv2.undistortPointsIter(full, lens.matrix(), np.array(lens.distortion), None, None, criteria)
    slope = np.asarray(slope).reshape(HEIGHT_PX, WIDTH_PX, 2)
    w, h = PINHOLE_PX
    map_x = (slope[..., 0] / PINHOLE_SLOPE_X + 1) * w / 2 - 0.5
    map_y = (slope[..., 1] / PINHOLE_SLOPE_Y + 1) * h / 2 - 0.5
    return map_x.astype(np.float32), map_y.astype(np.float32)


def _boxes(ids: np.ndarray) -> List[SeenDuck]:
    counts = np.bincount(ids.ravel())
    seen = []
    for number in np.flatnonzero(counts[1:]) + 1:
        ys, xs = np.nonzero(ids == number)
        box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        seen.append(SeenDuck(int(number) - 1, int(counts[number]), box))
    return seen
