"""Reads a mesh from a Wavefront OBJ file, part by part, each with its colour or picture.

Files are y up, as Duckietown's are; meshes are z up and face x. Promise: a part is what shapes.Mesh wants: every
vertex has one texture place; a file that cannot be read is told in one sentence, as a ValueError.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from duck_protection.simulation.shapes import Mesh

Colour = Tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
Corner = Tuple[int, int]  # a vertex and its texture place, from 0; place -1: none


@dataclass(frozen=True)
class Skin:
    """What a part is covered with: a picture's path, or only a colour, RGB 0 to 1."""

    colour: Colour = WHITE
    picture: Optional[Path] = None


@dataclass(frozen=True)
class Part:
    """All faces of one material."""

    mesh: Mesh
    skin: Skin


@lru_cache(maxsize=64)
def read_obj(path: Path) -> Tuple[Part, ...]:
    """The parts of a thing that stands at the origin, one unit high, its base at z = 0.

    Raises:
        ValueError: The file is not there, or is no OBJ file with faces.
    """
    try:
        vertices, places, groups, library = _parse(path.read_text(errors="replace"))
        parts = [(_mesh(vertices, places, faces), name) for name, faces in groups.items() if faces]
        everything = np.concatenate([mesh.vertices for mesh, _ in parts])
    except (OSError, ValueError, IndexError) as err:
        raise ValueError(f"cannot read Duckietown's mesh {path}: {err}") from err
    low, high = everything.min(axis=0), everything.max(axis=0)
    base = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    skins, height = _skins(path, library), max(1e-9, float(high[2] - low[2]))
    own = path.with_suffix(".png")
    plain = Skin(picture=own) if own.exists() else Skin((0.6, 0.6, 0.6))
    return tuple(
        Part(replace(mesh, vertices=(mesh.vertices - base) / height), skins.get(name, plain)) for mesh, name in parts
    )


def _parse(text: str) -> Tuple[np.ndarray, np.ndarray, Dict[str, List[List[Corner]]], str]:
    """Vertices (n, 3) as in the file, places (m, 2), the faces of each material, the materials' file."""
    vertices: List[List[float]] = []
    places: List[List[float]] = []
    groups: Dict[str, List[List[Corner]]] = {}
    material, library = "", ""
    for words in (line.split() for line in text.splitlines()):
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            places.append([float(word) for word in words[1:3]])
        elif words[0] == "usemtl":
            material = " ".join(words[1:])
        elif words[0] == "mtllib":
            library = " ".join(words[1:])
        elif words[0] == "f":
            corners = [_corner(word, len(vertices), len(places)) for word in words[1:]]
            fan = [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
            groups.setdefault(material, []).extend(fan)
    return np.array(vertices).reshape(-1, 3), np.array(places).reshape(-1, 2), groups, library


def _corner(word: str, vertices: int, places: int) -> Corner:
    """One of "7", "7/3", "7/3/1", "7//1"; negative numbers count back from the latest."""
    vertex, _, rest = word.partition("/")
    place = rest.partition("/")[0]
    return _index(vertex, vertices), _index(place, places) if place else -1


def _index(word: str, count: int) -> int:
    number = int(word)
    index = number - 1 if number > 0 else count + number
    if not 0 <= index < count:
        raise ValueError(f"number {number} of {count}")
    return index


def _mesh(vertices: np.ndarray, places: np.ndarray, faces: List[List[Corner]]) -> Mesh:
    corners = sorted({corner for face in faces for corner in face})
    number = {corner: i for i, corner in enumerate(corners)}
    x, y, z = vertices[[vertex for vertex, _ in corners]].T
    u, v = np.array([places[place] if place >= 0 else (0.0, 0.0) for _, place in corners]).T
    return Mesh(np.column_stack([x, -z, y]), np.array([[number[corner] for corner in face] for face in faces]),
                np.column_stack([u, 1 - v]))  # MuJoCo counts pictures from the top


def _skins(path: Path, library: str) -> Dict[str, Skin]:
    """What the materials' file says, where it exists."""
    skins: Dict[str, Skin] = {}
    name, file = "", path.parent / library
    lines = file.read_text(errors="replace").splitlines() if library and file.is_file() else []
    for words in (line.split() for line in lines):
        if words[:1] == ["newmtl"]:
            name = " ".join(words[1:])
            skins[name] = Skin()
        elif words[:1] == ["Kd"] and name in skins and skins[name].picture is None:
            red, green, blue = (float(word) for word in words[1:4])
            skins[name] = Skin((red, green, blue))
        elif words[:1] == ["map_Kd"] and name in skins and (path.parent / words[-1]).is_file():
            skins[name] = Skin(picture=path.parent / words[-1])
    return skins
