"""What the camera's sensor and its JPEG encoder make of the light: exposure, cast, vignette, blur, noise.

Pictures are uint8, shape (480, 640, 3), RGB order. Promise: expose() with the same Sensor and generator state gives
the same picture; noise is never zero, so no two frames of a drive are identical byte for byte.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Tuple

import cv2
import numpy as np

LEAST_NOISE = 1.0  # grey levels, standard deviation: what a Duckiebot's camera shows on a still picture in good light
_BANK_PX = (560, 720)  # a frame's noise is a window of this picture, flipped and shifted by the generator


@dataclass(frozen=True)
class Sensor:
    """One frame's sensor. Gains multiply light; blur lengths are in pixels; quality is JPEG's 1 to 100."""

    exposure: float = 1.0
    cast: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    lift: float = 0.0  # black level, 0 to 1
    gamma: float = 1.0
    vignette: float = 0.25  # light lost in the corners, 0 to 1
    defocus_px: float = 0.5
    motion_px: float = 0.0
    motion_rad: float = 0.0  # direction of the motion blur in the picture
    noise: float = 2.0
    quality: int = 85

    def __post_init__(self) -> None:
        if self.noise < LEAST_NOISE:
            raise ValueError(f"noise is {self.noise}, must be at least {LEAST_NOISE}: frames must differ")


def random_sensor(rng: np.random.Generator) -> Sensor:
    """A sensor for training: dark halls, coloured light, shaking and poor compression included."""
    cast = rng.uniform(0.88, 1.12, 3)
    if rng.random() < 0.18:  # coloured lamps: one channel rules
        cast = rng.uniform(0.35, 0.85, 3)
        cast[int(rng.integers(3))] = 1.0
    shakes, dark = rng.random() < 0.35, rng.random() < 0.22
    return Sensor(
        exposure=float(np.exp(rng.uniform(*np.log((0.35, 0.7) if dark else (0.7, 2.2))))),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        lift=float(rng.uniform(0, 0.06)) if rng.random() < 0.4 else 0.0,
        gamma=float(rng.uniform(0.75, 1.3)),
        vignette=float(rng.uniform(0.0, 0.6)),
        defocus_px=float(rng.uniform(0.0, 1.3)),
        motion_px=float(rng.uniform(2, 18)) if shakes else 0.0,
        motion_rad=float(rng.normal(0, 0.5)) if rng.random() < 0.7 else float(rng.uniform(0, math.pi)),
        noise=float(rng.uniform(LEAST_NOISE, 9.0)),
        quality=int(rng.integers(55, 96)),
    )


def plain_sensor(rng: np.random.Generator) -> Sensor:
    """A sensor for training in a lit room: what a tidy laboratory's camera shows."""
    cast = rng.uniform(0.92, 1.08, 3)
    shakes = rng.random() < 0.25
    return Sensor(
        exposure=float(np.exp(rng.uniform(*np.log((0.75, 1.6))))),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        gamma=float(rng.uniform(0.85, 1.2)),
        vignette=float(rng.uniform(0.0, 0.4)),
        defocus_px=float(rng.uniform(0.0, 0.9)),
        motion_px=float(rng.uniform(2, 8)) if shakes else 0.0,
        motion_rad=float(rng.normal(0, 0.5)),
        noise=float(rng.uniform(LEAST_NOISE, 4.0)),
        quality=int(rng.integers(72, 96)),
    )


def drive_sensor(rng: np.random.Generator, speed_mps: float, omega_radps: float) -> Sensor:
    """A sensor for a drive: a good camera in a lit room, blurred by the robot's own turning."""
    return Sensor(
        exposure=float(rng.normal(1.0, 0.015)),
        motion_px=float(min(9.0, 305 * abs(omega_radps) * 0.006 + 4 * abs(speed_mps))),  # 6 ms of shutter
        noise=float(rng.uniform(1.5, 2.5)),
        quality=88,
    )


def expose(light: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """The sensor's picture of what the lens shows."""
    picture = light
    if sensor.defocus_px > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), sensor.defocus_px)
    if sensor.motion_px >= 1.5:
        picture = cv2.filter2D(picture, -1, _streak(sensor.motion_px, sensor.motion_rad))
    scene = np.multiply(_toned(picture, sensor), _vignette(round(sensor.vignette * 20))[..., None], dtype=np.float32)
    scene += _noise(rng) * np.float32(sensor.noise)
    return np.asarray(cv2.convertScaleAbs(np.maximum(scene, 0, out=scene)))


def encode(picture: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of an RGB picture."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("the picture could not be encoded as JPEG")
    return bytes(data)


def _toned(picture: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Exposure, cast, gamma and black level through one table a channel."""
    levels = np.arange(256) / 255.0
    gains = np.array(sensor.cast)[None] * sensor.exposure
    table = np.clip(levels[:, None] * gains, 0, 1) ** sensor.gamma
    table = sensor.lift + (1 - sensor.lift) * table
    return np.asarray(cv2.LUT(picture, (table * 255).round().astype(np.uint8).reshape(256, 1, 3)))


@lru_cache(maxsize=32)
def _vignette(twentieths: int) -> np.ndarray:
    y, x = np.indices((480, 640), dtype=np.float32)
    r2 = ((x - 319.5) / 400) ** 2 + ((y - 239.5) / 400) ** 2
    return np.asarray(1 - twentieths / 20 * np.clip(r2, 0, 1), np.float32)


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    rng = np.random.default_rng(1)
    colour = rng.standard_normal((*_BANK_PX, 3), dtype=np.float32)
    grey = rng.standard_normal((*_BANK_PX, 1), dtype=np.float32)
    return np.asarray(0.6 * colour + 0.8 * grey, np.float32)


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation 1: one of a million cuts of the bank."""
    bank = _bank()
    y, x = int(rng.integers(0, _BANK_PX[0] - 480)), int(rng.integers(0, _BANK_PX[1] - 640))
    cut = bank[y : y + 480, x : x + 640]
    cut = cut[:: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]
    scale = np.float32(rng.uniform(0.9, 1.1))
    return np.asarray(cut * scale, np.float32)


def _streak(length_px: float, angle_rad: float) -> np.ndarray:
    """A motion blur's kernel, sum 1."""
    size = math.ceil(length_px) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    reach = np.array([math.cos(angle_rad), math.sin(angle_rad)]) * (length_px - 1) / 2
    ends = [tuple(int(v) for v in np.round((middle + side * reach) * 16)) for side in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return np.asarray(kernel / kernel.sum())
