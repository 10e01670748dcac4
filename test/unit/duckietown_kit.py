"""A folder laid out as Duckietown's package is, with tiny maps, pictures and meshes of our own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

SIZE_PX = 64
PAINTS = ("photos", "smooth", "synthetic")
RING = """
tiles:
- [floor, floor        , floor      , floor        , floor]
- [floor, curve_left/W , straight/W , curve_left/N , floor]
- [floor, straight/S   , grass      , straight/N   , floor]
- [floor, curve_left/S , straight/E , curve_left/E , floor]
tile_size: 0.585
objects:
  corner:   {kind: house, pos: [0.5, 0.5], rotate: 90, height: 0.2}
  on_road:  {kind: house, pos: [1.5, 1.5], rotate: 0, height: 0.2}
  reaching: {kind: house, pos: [0.95, 2.5], rotate: 0, height: 0.2}
  other:
    kind: tree
    place: {tile: [2, 1], relative: {~SE2Transform: {p: [0.1, -0.05], theta_deg: 90}}}
    height: 0.1
  duck:     {kind: duckie, pos: [2.5, 1.5], rotate: 0, height: 0.08}
  tag:      {kind: floor_tag, pos: [2.5, 2.5], rotate: 0}
"""
CLOCKWISE = """
tiles:
- [curve_right/N, straight/E, curve_right/E]
- [straight/N   , asphalt   , straight/S]
- [curve_right/W, straight/W, curve_right/S]
"""
# Two rings side by side share a street: the outer loop crosses both three-ways straight on; a stub leads nowhere.
STREET = """
tiles:
- [curve_left/W , straight/W, 3way_left/W , straight/W , straight/W, curve_left/N]
- [straight/S   , asphalt   , straight/N  , asphalt    , asphalt   , straight/N]
- [curve_left/S , straight/E, 3way_right/W, 3way_right/E, straight, curve_left/E]
- [floor        , floor     , floor      , straight/N , floor     , floor]
"""
# Two rings that share one four-way only: it has to be turned at.
EIGHT = """
tiles:
- [curve_left/W, straight/W, curve_left/N, floor      , floor]
- [straight/S  , floor     , straight/N  , floor      , floor]
- [curve_left/S, straight/E, 4way        , straight/E , curve_right/E]
- [floor       , floor     , straight/N  , floor      , straight/S]
- [floor       , floor     , curve_left/S, straight/E , curve_left/E]
"""
OPEN = "tiles:\n- [straight/E, straight/E, curve_left/E]\n"
MAPS = {
    "ring": RING, "clockwise": CLOCKWISE, "street": STREET, "eight": EIGHT, "open": OPEN,
    "unknown_tile": "tiles:\n- [straight/E, bridge/E]\n", "no_tiles": "objects: {}\n",
    "nan": "tiles:\n- [grass]\nobjects:\n- {kind: tree, pos: [.nan, 1], height: 0.2}\n",
    "endless": "tiles:\n- [grass]\nobjects:\n- {kind: tree, pos: [1, 1], height: .inf}\n", "broken": "tiles: [[",
    "many": f"tiles:\n- [{', '.join(['floor'] * 65)}]\n", "empty": "tiles: []\n", "list": "- 1\n",
}  # fmt: skip

CUBE = """
mtllib {name}.mtl
v -1 0 -0.5
v 1 0 -0.5
v 1 0 0.5
v -1 0 0.5
v -1 2 -0.5
v 1 2 -0.5
v 1 2 0.5
v -1 2 0.5
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl top
f 8/1 7/2 6/3 5/4
usemtl rest
f 1/1 2/2 3/3 4/4
f -5/1/1 -6/2/1 -2/3/1 -1/4/1
f 1 5 6 2
f 3//1 7//1 6//1
f 3 6 2
f 4/1 8/2 5/3 1/4
"""  # two long (x), two high (y), one wide (z)
COLOURS = "newmtl top\nKd 0.1 0.2 0.9\nnewmtl rest\nKd 0.9 0.2 0.1\n"


def write_assets(folder: Path) -> Path:
    """The folder, with maps/, textures/ and meshes/."""
    (folder / "maps").mkdir(parents=True)
    for name, text in MAPS.items():
        (folder / "maps" / f"{name}.yaml").write_text(text)
    for paint in PAINTS:
        for name, picture in tiles().items():
            place = folder / "textures" / "tiles-processed" / paint / name
            place.mkdir(parents=True)
            Image.fromarray(picture).save(place / "texture.jpg", quality=95)
    for name, library in (("house", COLOURS), ("tree", COLOURS), ("duckie", None)):
        place = folder / "meshes" / name
        place.mkdir(parents=True)
        (place / f"{name}.obj").write_text(CUBE.format(name=name))
        if library:
            (place / f"{name}.mtl").write_text(library)
        else:
            skin = np.zeros((8, 8, 3), np.uint8)
            skin[:] = (40, 60, 250)  # a blue duck: nothing else in a town is as blue
            Image.fromarray(skin).save(place / f"{name}.png")
    return folder


def tiles() -> dict:
    """Each tile as the package has it: the road is light, and who drives in comes from below. Ground is dark."""
    light = np.array((230, 230, 60), np.uint8)
    grounds = {"grass": (20, 160, 20), "asphalt": (30, 30, 30), "floor": (120, 20, 120)}
    roads = {"straight": "SN", "curve_left": "SW", "3way_left": "SNW", "4way": "SNWE"}
    half, third = SIZE_PX // 2, SIZE_PX // 6
    arms = {"S": np.s_[half:, half - third : half + third], "N": np.s_[:half, half - third : half + third],
            "W": np.s_[half - third : half + third, :half], "E": np.s_[half - third : half + third, half:]}  # fmt: skip
    pictures = {}
    for name, colour in {**grounds, **dict.fromkeys(roads, (40, 40, 40))}.items():
        picture = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
        picture[:] = colour
        picture[::7] //= 2  # never uniform
        for arm in roads.get(name, ""):
            picture[arms[arm]] = light
        pictures[name] = picture
    return pictures


def installed() -> bool:
    """Whether Duckietown's own package is here."""
    return importlib.util.find_spec("duckietown_world") is not None
