"""Duckietown's map files as towns of ours: the tiles as they lie, one loop to drive, and the furniture.

A map has its rows from north to south, a heading after each road tile (the way who enters it drives; east without
one), and objects with places in tiles from its north-west corner. Every tile is taken as TILE_M long: a few maps say
up to 8 % else. Promise: a file is a town, or one sentence says why not; nothing of it is executed.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import yaml

from duck_protection.simulation.loops import best_loop
from duck_protection.simulation.official import find_folder, map_names
from duck_protection.simulation.tiles import GROUNDS, STEPS, WAYS, Thing, Tile
from duck_protection.simulation.town import TILE_M, Cell, Town

PREFIX = "official"
HEADINGS = {"E": 0, "N": 1, "W": 2, "S": 3}  # quarter turns anticlockwise from east
KINDS = {  # the map's word: (kind of tiles.py, its quarter turns when the heading is east)
    "straight": ("straight", 0),
    "curve_left": ("curve", 1),  # from the west to the north
    "curve_right": ("curve", 2),  # from the west to the south
    "3way_left": ("crossing3", 0),
    "3way_right": ("crossing3", 2),
    "4way": ("crossing4", 0),
    "calibration_tile": ("asphalt", 0),
    "empty": ("floor", 0),
    **{ground: (ground, 0) for ground in GROUNDS},
}  # fmt: skip
LARGEST = 64  # rows or columns


def official_town(name: str, folder: Optional[Path] = None) -> Town:
    """The town of a map, driven the way that most of its tiles are headed.

    Args:
        folder: Of the assets; by default the one that find_folder() knows.

    Raises:
        ValueError: Nothing is installed, or no such map (the message lists them), or it has no loop or bad content.
    """
    folder = find_folder(folder)
    if name not in map_names(folder):
        raise ValueError(f"no official map {name!r}; known: {', '.join(map_names(folder))}")
    try:
        content = yaml.safe_load((folder / "maps" / f"{name}.yaml").read_text())
        rows = content["tiles"]
        words = [[_words(tile) for tile in row] for row in rows]
        things = _things(content.get("objects"), len(words))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as err:
        reason = " ".join(str(err).split())
        raise ValueError(f"official map {name}: cannot be read ({type(err).__name__}: {reason})") from err
    if not 1 <= len(words) <= LARGEST or not all(1 <= len(row) <= LARGEST for row in words):
        raise ValueError(f"official map {name}: has no tiles, or more than {LARGEST} in a row or column")
    headed = [
        (_tile((column, len(words) - 1 - row), kind, heading), heading)
        for row, line in enumerate(words) for column, (kind, heading) in enumerate(line)
    ]
    loop = best_loop(tile for tile, _ in headed)
    if not loop:
        raise ValueError(f"official map {name}: no closed loop of road to drive on")
    cells = _as_headed(loop, headed)
    return Town(f"{PREFIX}:{name}", cells, tiles=tuple(tile for tile, _ in headed), things=things)


def _words(tile: str) -> Tuple[str, int]:
    """Kind and heading of one entry, like "curve_left/W"."""
    kind, _, letter = (part.strip() for part in str(tile).partition("/"))
    if kind not in KINDS or (letter or "E") not in HEADINGS:
        raise ValueError(f"unknown tile {tile!r}")
    return kind, HEADINGS[letter or "E"]


def _tile(cell: Cell, word: str, heading: int) -> Tile:
    kind, quarters = KINDS[word]
    return Tile(cell, kind, (quarters + heading) % 4 if kind in WAYS else 0)


def _as_headed(loop: Tuple[Cell, ...], headed: List[Tuple[Tile, int]]) -> Tuple[Cell, ...]:
    """The loop, or the same the other way round where more of its tiles say so."""
    headings = {tile.cell: STEPS[heading] for tile, heading in headed}

    def agree(cells: Tuple[Cell, ...]) -> int:
        steps = ((here[0] - before[0], here[1] - before[1]) for before, here in zip((cells[-1], *cells[:-1]), cells))
        return sum(headings[here] == step for here, step in zip(cells, steps))

    back = loop[::-1]
    return back if agree(back) > agree(loop) else loop


def _things(objects: Any, rows: int) -> Tuple[Thing, ...]:
    """The objects with a height and a place on the ground; ducks and robots are no furniture."""
    entries = list(objects.values()) if isinstance(objects, dict) else list(objects or [])
    things = []
    for entry in entries:
        pose = _pose(entry, rows)
        if pose is not None and "height" in entry and not str(entry["kind"]).startswith("duckie"):
            thing = Thing(str(entry["kind"]), *pose, float(entry["height"]))
            if not all(map(math.isfinite, (*pose, thing.height_m))):
                raise ValueError(f"{thing.kind}: place or height is no number")
            things.append(thing)
    return tuple(things)


def _pose(entry: Dict[str, Any], rows: int) -> Optional[Tuple[float, float, float]]:
    """x, y in metres and yaw in radians, of either way to say it: from the north-west corner in tiles, rows downwards
    (pos, rotate), or from the middle of a tile, which is counted from the south-west corner, in metres (place)."""
    if "pos" in entry:
        column, row = (float(value) for value in (entry["pos"][0], entry["pos"][-1]))
        return column * TILE_M, (rows - row) * TILE_M, math.radians(float(entry.get("rotate", 0)))
    if "tile" not in entry.get("place", {}):
        return None
    column, row = (int(value) for value in entry["place"]["tile"])
    there = entry["place"].get("relative", {}).get("~SE2Transform", {})
    x_m, y_m = (float(value) for value in there.get("p", (0, 0)))
    yaw_rad = float(there.get("theta", math.radians(float(there.get("theta_deg", 0)))))
    return (column + 0.5) * TILE_M + x_m, (row + 0.5) * TILE_M + y_m, yaw_rad
