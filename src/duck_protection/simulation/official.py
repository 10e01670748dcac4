"""Duckietown's own maps, tile pictures and meshes, where their package is installed; never needed.

The files are those of `duckietown-world-daffy` on PyPI (pip install --no-deps duckietown-world-daffy==6.4.3). They
are found and read, never imported, copied or shipped: they come under Duckietown's terms (personal, class and
research use with acknowledgement, no commercial use), and so does a model that was trained on pictures of them.
DUCKIETOWN_ASSETS names a folder with maps/, textures/ and meshes/ instead. Promise: what is missing is told in one
sentence, as a ValueError.
"""
from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import List, Optional

import numpy as np
from PIL import Image, UnidentifiedImageError

VARIABLE = "DUCKIETOWN_ASSETS"
PACKAGE = "duckietown_world"
FOLDER = ("data", "gd1")  # within the package
PAINTS = ("photos", "smooth", "synthetic")  # the package's sets of tile pictures
TURNED = {  # kind: (name of its picture, quarter turns anticlockwise to how paint.py draws the kind)
    "straight": ("straight", 1),  # runs from the bottom to the top there
    "curve": ("curve_left", 2),  # from the bottom to the left
    "crossing3": ("3way_left", 3),  # from the bottom on to the top, and to the left
    "crossing4": ("4way", 0),
    "floor": ("floor", 0),
    "grass": ("grass", 0),
    "asphalt": ("asphalt", 0),
}  # fmt: skip
PICTURE_PX = 512  # at most: larger ones are made smaller


def find_folder(folder: Optional[Path] = None) -> Path:
    """Where maps/, textures/ and meshes/ lie: in this folder, in DUCKIETOWN_ASSETS, or in the installed package.

    Raises:
        ValueError: There is no such folder, or the package is not installed.
    """
    named = folder or os.environ.get(VARIABLE)
    if named:
        for there in (Path(named), Path(named, *FOLDER)):
            if (there / "maps").is_dir():
                return there
        raise ValueError(f"no folder maps in {named}, where Duckietown's files should be")
    found = importlib.util.find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        there = Path(place, *FOLDER)
        if (there / "maps").is_dir():
            return there
    raise ValueError(
        f"Duckietown's maps and pictures are not installed: pip install --no-deps duckietown-world-daffy==6.4.3, "
        f"or set {VARIABLE} to a folder with maps, textures and meshes"
    )


def map_names(folder: Path) -> List[str]:
    """The maps in this folder of assets."""
    return sorted(path.stem for path in (folder / "maps").glob("*.yaml"))


@dataclass(frozen=True)
class Assets:
    """What tiles, ducks and furniture look like when Duckietown's own files paint them.

    Args:
        folder: What find_folder() gave.
        paint: Which set of tile pictures, one of PAINTS.
    """

    folder: Path
    paint: str = PAINTS[0]

    def tile(self, kind: str) -> np.ndarray:
        """The picture of a kind of tiles.py as paint.py would draw it: uint8 (height, width, 3) RGB, row 0 north.

        Raises:
            ValueError: The picture is not there or cannot be read.
        """
        name, quarters = TURNED[kind]
        picture = read_picture(self.folder / "textures" / "tiles-processed" / self.paint / name / "texture.jpg")
        return np.ascontiguousarray(np.rot90(picture, quarters))

    def mesh(self, kind: str) -> Optional[Path]:
        """The mesh of a thing in the maps' words, whose capitals may differ from the file's; None without one."""
        folder = self.folder / "meshes"
        found = [
            path for path in (folder / "signs" if kind.startswith("sign_") else folder).glob("*/*.obj")
            if path.stem.lower() == kind.lower() == path.parent.name.lower()
        ]
        return min(found, default=None)


def assets_named(paint: str) -> Optional[Assets]:
    """The assets with this set of tile pictures; None for "": the town is painted by us.

    Raises:
        ValueError: No such set, or nothing is installed.
    """
    if not paint:
        return None
    if paint not in PAINTS:
        raise ValueError(f"no assets {paint!r}; known: {', '.join(PAINTS)}, and empty for our own paint")
    return Assets(find_folder(), paint)


@lru_cache(maxsize=64)
def read_picture(path: Path) -> np.ndarray:
    """A picture, at most PICTURE_PX wide and high: uint8 (height, width, 3) RGB.

    Raises:
        ValueError: It is not there or cannot be read.
    """
    try:
        with Image.open(path) as picture:
            picture.thumbnail((PICTURE_PX, PICTURE_PX))
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as err:
        raise ValueError(f"cannot read Duckietown's picture {path}: {err}") from err
