"""The shapes we model ourselves: a rubber duck and simple solids, as triangle meshes.

Units: the duck is DUCK_WIDTH wide, its beak along x, its base at z = 0; divide a width in metres by it for the scale.
Promise: a duck is closed, one skin, and coloured by one small picture (body, beak, eyes) over its own angles.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Tuple

import numpy as np

# Ellipsoids (centre, radii) whose smooth union is the duck; measured off a rubber duck 6 cm long.
_BODY = ((-0.06, 0.0, 0.27), (0.43, 0.36, 0.27))
_CHEST = ((0.12, 0.0, 0.30), (0.27, 0.31, 0.26))
_HEAD = ((0.17, 0.0, 0.70), (0.25, 0.24, 0.235))
_TAIL = ((-0.42, 0.0, 0.46), (0.13, 0.17, 0.10))
_WINGS = tuple(((-0.08, side * 0.31, 0.34), (0.24, 0.09, 0.15)) for side in (-1, 1))
_BEAK = ((0.43, 0.0, 0.655), (0.13, 0.125, 0.055))
_EYES = tuple((0.345, side * 0.125, 0.775) for side in (-1, 1))
_EYE_RADIUS = 0.05
_CENTRE = np.array([0.08, 0.0, 0.50])  # rays from here meet the skin once, nearly
_MELT = 0.05  # how softly parts run into each other

DUCK_WIDTH = 0.847  # over the wings, in the mesh's own units; its length is 1.12, its height 0.93


@dataclass(frozen=True)
class Mesh:
    """Vertices (n, 3), triangles (m, 3) and texture places (n, 2), ready for MuJoCo."""

    vertices: np.ndarray
    faces: np.ndarray
    places: np.ndarray


@lru_cache(maxsize=2)
def duck_mesh(columns: int = 28, rows: int = 20) -> Mesh:
    """The duck's skin over a grid of angles around its neck."""
    azimuth = np.linspace(-np.pi, np.pi, columns + 1)
    polar = np.linspace(0.0, np.pi, rows + 1)
    grid_a, grid_p = np.meshgrid(azimuth, polar)
    skin = _skin(_rays(grid_a, grid_p))
    places = np.stack([(grid_a + np.pi) / (2 * np.pi), grid_p / np.pi], axis=-1).reshape(-1, 2)
    first = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)[None]).ravel()
    below = first + columns + 1
    faces = np.concatenate([np.stack([first, below, first + 1], 1), np.stack([first + 1, below, below + 1], 1)])
    return Mesh(skin.reshape(-1, 3), faces, places)


def duck_skin(body: np.ndarray, beak: np.ndarray, width_px: int = 192, height_px: int = 128) -> np.ndarray:
    """The picture for duck_mesh: uint8 (height, width, 3) RGB, from two colours 0 to 1."""
    on_beak, on_white, on_pupil = _duck_regions(width_px, height_px)
    picture = np.ones((height_px, width_px, 3)) * body
    picture[on_beak], picture[on_white], picture[on_pupil] = beak, 0.95, 0.03
    return np.asarray(np.clip(picture, 0, 1) * 255, np.uint8)


@lru_cache(maxsize=2)
def _duck_regions(width_px: int, height_px: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the skin's texels are beak, white of an eye and pupil; the same for every duck."""
    azimuth = (np.arange(width_px) + 0.5) / width_px * 2 * np.pi - np.pi
    polar = (np.arange(height_px) + 0.5) / height_px * np.pi
    skin = _skin(_rays(*np.meshgrid(azimuth, polar)))
    gap = np.min([np.linalg.norm(skin - eye, axis=-1) for eye in _EYES], axis=0)
    on_beak = (_distance(skin, *_BEAK) < 0.02) & (skin[..., 0] > 0.37)
    return on_beak, gap < _EYE_RADIUS * 1.35, gap < _EYE_RADIUS


def prism_mesh() -> Mesh:
    """A gable roof: 1 long (x), 1 wide (y), 1 high, its base at z = 0."""
    v = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0], [-0.5, 0, 1], [0.5, 0, 1]])
    f = np.array([[0, 1, 5], [0, 5, 4], [2, 3, 4], [2, 4, 5], [0, 4, 3], [1, 2, 5], [0, 3, 2], [0, 2, 1]])
    return Mesh(v, f, v[:, :2] + 0.5)


def cone_mesh(sides: int = 12) -> Mesh:
    """A cone: radius 0.5, height 1, its base at z = 0."""
    angle = np.arange(sides) / sides * 2 * np.pi
    rim = np.column_stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), np.zeros(sides)])
    v: np.ndarray = np.vstack([rim, np.array([[0, 0, 1.0], [0, 0, 0]])])
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    f = np.vstack([np.column_stack([here, after, np.full(sides, sides)]),
                   np.column_stack([after, here, np.full(sides, sides + 1)])])
    return Mesh(v, f, np.column_stack([np.append(here / sides, [0.5, 0.5]), v[:, 2]]))


def _rays(azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    flat = np.sin(polar)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.cos(polar)], axis=-1)


def _skin(rays: np.ndarray) -> np.ndarray:
    """Where rays from the neck leave the duck: bisection between inside and outside."""
    low, high = np.zeros(rays.shape[:-1]), np.full(rays.shape[:-1], 1.2)
    for _ in range(18):
        middle = (low + high) / 2
        inside = _field(_CENTRE + rays * middle[..., None]) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    skin = _CENTRE + rays * low[..., None]
    skin[..., 2] = np.maximum(skin[..., 2], 0.02)  # a flat base
    return np.asarray(skin)


def _field(points: np.ndarray) -> np.ndarray:
    """Negative inside the duck; a smooth minimum over its parts."""
    parts = [_distance(points, *part) for part in (_BODY, _CHEST, _HEAD, _TAIL, *_WINGS, _BEAK)]
    soft: np.ndarray = -_MELT * np.log(np.sum([np.exp(-np.clip(p, -2, 2) / _MELT) for p in parts], axis=0))
    return soft


def _distance(points: np.ndarray, centre: Tuple[float, ...], radii: Tuple[float, ...]) -> np.ndarray:
    """About the distance to an ellipsoid, negative inside."""
    scaled = (points - centre) / radii
    length = np.linalg.norm(scaled, axis=-1)
    return np.asarray((length - 1) * min(radii))
