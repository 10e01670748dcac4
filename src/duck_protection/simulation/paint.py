"""What the town's surfaces look like: road tiles drawn to Duckietown's dimensions, floors, walls, boxes, the hall.

Every picture is painted here from a Paint (its colours and wear) and a random generator; nothing is loaded.
Pictures are uint8, shape (height, width, 3), RGB order. Tile pictures show the tile from above: row 0 is north
(y up), column 0 is west. A straight tile's road runs west to east; a curve tile's joins its east and north edges.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from duck_protection.simulation.town import TILE_M

Colour = Tuple[float, float, float]  # RGB, 0 to 1

TILE_PX = 512
WHITE_M = (0.222, 0.270)  # inner and outer edge of the white line, from the road's middle: a lane of 0.21 m
YELLOW_HALF_M = 0.012
DASHES = {"straight": 8, "curve": 6}  # a tile: 5 cm tape, 2.5 cm gap
DASH_SHARE = 0.66
STOP_LINE_M = (0.22, 0.27)  # the red line across the own lane, from the tile's centre along the road


@dataclass(frozen=True)
class Paint:
    """One town's colours and wear."""

    asphalt: Colour = (0.10, 0.10, 0.11)
    white: Colour = (0.90, 0.90, 0.88)
    yellow: Colour = (0.92, 0.74, 0.10)
    floor: Colour = (0.13, 0.13, 0.14)
    floor_kind: str = "mat"  # mat, grass, wood, checks, carpet
    grain: float = 0.35  # contrast of the asphalt's grain, 0 to 1
    wear: float = 0.15  # how much paint is worn off, 0 to 1
    stop_lines: bool = False


def noise(rng: np.random.Generator, size_px: int, cell_px: int) -> np.ndarray:
    """Smooth noise, float32 (size, size), about -1 to 1, with blobs of about cell_px; its edges fit together."""
    cells = max(2, size_px // cell_px)
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    scale = size_px / cells
    big = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    start = int(2 * scale)
    return np.asarray(big[start : start + size_px, start : start + size_px])


def asphalt(rng: np.random.Generator, colour: Colour, grain: float, size_px: int = TILE_PX) -> np.ndarray:
    """A rubber mat: fine grain, blotches and a few scratches; float32 (size, size, 3), 0 to 1."""
    fine = rng.standard_normal((size_px, size_px)).astype(np.float32)
    shade = 1 + grain * (0.25 * fine + 0.25 * noise(rng, size_px, 8) + 0.35 * noise(rng, size_px, 90))
    if rng.random() < 0.5:  # the ribs of a foam mat
        ribs = (np.arange(size_px) % 6 < 2).astype(np.float32)
        shade *= 1 + 0.25 * grain * (ribs[None] + ribs[:, None])
    picture = shade[..., None] * np.array(colour, np.float32)
    for _ in range(int(rng.integers(0, 6))):
        ends = rng.integers(0, size_px, 4).tolist()
        cv2.line(picture, ends[:2], ends[2:], [float(c * 1.5 + 0.02) for c in colour], 1, cv2.LINE_AA)
    return np.asarray(picture)


def road_tile(kind: str, paint: Paint, rng: np.random.Generator) -> np.ndarray:
    """A straight or curve tile from above."""
    half = 0.5 * TILE_M
    x, y = _grid()
    if kind == "straight":
        across, along, length = y, x + half, TILE_M
    else:  # the arc's middle is the tile's north-east corner
        across = np.hypot(half - x, half - y) - half
        angle = np.arctan2(half - y, half - x)
        along, length = angle * half, np.pi / 2 * half
    picture = asphalt(rng, paint.asphalt, paint.grain)
    phase = along / length * DASHES[kind]
    dash = _soft(DASH_SHARE / 2 - np.abs(phase % 1 - 0.5), length / DASHES[kind])
    picture = _over(picture, paint.yellow, _soft(YELLOW_HALF_M - np.abs(across)) * dash, paint.wear, rng)
    inside = np.minimum(np.abs(across) - WHITE_M[0], WHITE_M[1] - np.abs(across))
    picture = _over(picture, paint.white, _soft(inside), paint.wear, rng)
    if kind == "straight" and paint.stop_lines:
        red = np.minimum(np.minimum(x - STOP_LINE_M[0], STOP_LINE_M[1] - x), np.minimum(-y - 0.015, y + WHITE_M[0]))
        picture = _over(picture, (0.75, 0.05, 0.08), _soft(red), paint.wear, rng)
    return to_uint8(picture)


def crossing_tile(ways: int, paint: Paint, rng: np.random.Generator) -> np.ndarray:
    """A crossing from above: the road runs west to east; three ways: one more to the north; four: to the south too.

    White tape bends into the side roads, a red line lies across each lane that leads in, and there is no yellow.
    """
    x, y = _grid()
    inner, outer = WHITE_M
    band_x, band_y = (np.minimum(np.abs(axis) - inner, outer - np.abs(axis)) for axis in (x, y))
    corner = np.maximum(np.minimum(band_x, np.abs(y) - inner), np.minimum(band_y, np.abs(x) - inner))
    white = corner if ways == 4 else np.where(y > 0, corner, band_y)
    picture = _over(asphalt(rng, paint.asphalt, paint.grain), paint.white, _soft(white), paint.wear, rng)
    first, last = STOP_LINE_M
    ends = [(-x, -y), (x, y), (y, -x), (-y, x)][: ways]  # (outwards, to the right of who drives in): W, E, N, S
    for out, right in ends:
        red = np.minimum(np.minimum(out - first, last - out), np.minimum(right - 0.015, inner - right))
        picture = _over(picture, (0.75, 0.05, 0.08), _soft(red), paint.wear, rng)
    return to_uint8(picture)


def floor_tile(paint: Paint, rng: np.random.Generator) -> np.ndarray:
    """The ground beside the road; its edges need not match."""
    size = TILE_PX
    base = np.array(paint.floor, np.float32)
    if paint.floor_kind == "grass":
        blades = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (3, 9), 0) * 2
        return to_uint8(base * (1 + 0.35 * blades + 0.2 * noise(rng, size, 60))[..., None])
    if paint.floor_kind == "wood":
        boards = np.repeat(rng.uniform(0.8, 1.2, 8), size // 8)[:, None]
        rings = cv2.resize(rng.standard_normal((size // 4, 8)).astype(np.float32), (size, size))
        return to_uint8(base * (boards * (1 + 0.12 * rings))[..., None])
    if paint.floor_kind == "checks":
        tiles = (np.indices((size, size)) // (size // 4)).sum(0) % 2
        return to_uint8(base * (0.75 + 0.5 * tiles + 0.05 * noise(rng, size, 30))[..., None])
    if paint.floor_kind == "carpet":
        return to_uint8(base * (1 + 0.3 * rng.standard_normal((size, size)) * 0.5)[..., None])
    return to_uint8(asphalt(rng, paint.floor, paint.grain))


def patchwork(rng: np.random.Generator, colour: Colour, size_px: int = 128) -> np.ndarray:
    """A cardboard or painted face: slots, labels, windows and stains on one colour."""
    picture = np.ones((size_px, size_px, 3), np.float32) * np.array(colour, np.float32)
    picture *= (1 + 0.12 * noise(rng, size_px, 24))[..., None]
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.integers(0, size_px, 2).tolist()
        w, h = rng.integers(4, size_px // 3, 2).tolist()
        shade = rng.uniform(0.1, 1.5) * np.array(colour) if rng.random() < 0.7 else rng.uniform(0, 1, 3)
        cv2.rectangle(picture, (x, y), (x + w, y + h), shade.tolist(), -1 if rng.random() < 0.8 else 2)
    return to_uint8(picture)


def tag(rng: np.random.Generator, size_px: int = 64) -> np.ndarray:
    """A white plate with a black square code, as on Duckietown's signs."""
    picture = np.full((size_px, size_px, 3), 235, np.uint8)
    bits = rng.integers(0, 2, (6, 6)).astype(np.uint8) * 225
    bits[[0, -1]], bits[:, [0, -1]] = 0, 0
    inner = size_px * 3 // 4
    at = size_px // 8
    picture[at : at + inner, at : at + inner] = cv2.resize(bits, (inner, inner), interpolation=0)[..., None]
    return picture


def bumper_plate(size_px: int = 64) -> np.ndarray:
    """The white back plate of a Duckiebot with its rows of holes."""
    picture = np.full((size_px, size_px, 3), 225, np.uint8)
    for x in range(8, size_px, 12):
        for y in range(14, size_px, 18):
            cv2.circle(picture, (x, y), 4, (20, 20, 20), -1)
    return picture


def wall(rng: np.random.Generator, height_px: int = 128, width_px: int = 512) -> np.ndarray:
    """A hall's wall: a curtain, wood, bricks or shelves, with a few things in front of it."""
    kind = rng.choice(["curtain", "plain", "bricks", "shelves"])
    colour = rng.uniform(0.05, 0.75) * rng.uniform(0.55, 1.0, 3)
    columns = np.arange(width_px)
    picture = np.ones((height_px, width_px, 3), np.float32) * colour.astype(np.float32)
    if kind == "curtain":
        folds = np.sin(columns / rng.uniform(2, 8) + 2 * np.sin(columns / 37.0))
        picture *= (1 + 0.45 * folds)[None, :, None]
    elif kind == "bricks":
        rows, cols = np.indices((height_px, width_px))
        mortar = (rows % 12 < 2) | ((cols + (rows // 12 % 2) * 14) % 28 < 2)
        picture[mortar] *= rng.uniform(0.5, 1.5)
    elif kind == "shelves":
        picture[:: int(rng.integers(18, 40))] *= 0.4
    for _ in range(int(rng.integers(3, 22))):
        x, top = int(rng.integers(0, width_px)), int(rng.integers(0, height_px))
        w, h = int(rng.integers(3, 40)), int(rng.integers(5, height_px))
        cv2.rectangle(picture, (x, top), (x + w, top + h), (rng.uniform(0, 0.8) * rng.uniform(0.4, 1, 3)).tolist(), -1)
    return to_uint8(cv2.GaussianBlur(picture, (3, 3), 0))


def hall(rng: np.random.Generator, dark: float, size_px: int = 96) -> np.ndarray:
    """The hall around as a sky box: six square faces on top of each other, ceiling lamps included."""
    faces = []
    for _ in range(6):
        face = np.ones((size_px, size_px, 3), np.float32) * (rng.uniform(0.3, 0.6) * (1 - dark))
        face *= rng.uniform(0.6, 1.0, 3).astype(np.float32) * (1 + 0.3 * noise(rng, size_px, 16))[..., None]
        for _ in range(int(rng.integers(4, 24))):
            spot = rng.integers(0, size_px, 2).tolist()
            glow = np.clip(rng.uniform(0.5, 1.3) * np.array([1.0, 0.95, 0.8]) * (1 - 0.5 * dark), 0, 1).tolist()
            if rng.random() < 0.5:
                cv2.circle(face, spot, int(rng.integers(1, 4)), glow, -1)
            else:
                cv2.line(face, spot, (spot[0] + int(rng.integers(-14, 14)), spot[1] + 2), glow, 2)
        faces.append(face)
    return to_uint8(np.concatenate(faces))


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """0 to 1 as bytes."""
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _grid() -> Tuple[np.ndarray, np.ndarray]:
    steps = ((np.arange(TILE_PX, dtype=np.float32) + 0.5) / TILE_PX - 0.5) * TILE_M
    x, y = np.meshgrid(steps, -steps)
    return x, y


def _soft(inside: np.ndarray, scale_m: float = 1.0) -> np.ndarray:
    """Coverage 0 to 1 of places this far inside an edge (metres when scale_m is 1), one texel soft."""
    return np.clip(inside * scale_m / (TILE_M / TILE_PX) + 0.5, 0, 1)


def _over(
    picture: np.ndarray, colour: Colour, cover: np.ndarray, wear: float, rng: np.random.Generator
) -> np.ndarray:
    """Tape over the picture, worn in blotches, a little uneven in brightness."""
    blotch = noise(rng, TILE_PX, 10) + noise(rng, TILE_PX, 40)
    cover = cover * np.clip(1.6 - wear * 2 * (1 + blotch), 0, 1)
    shade = 1 + 0.08 * noise(rng, TILE_PX, 70)
    return np.asarray(picture * (1 - cover[..., None]) + np.array(colour, np.float32) * (shade * cover)[..., None])
