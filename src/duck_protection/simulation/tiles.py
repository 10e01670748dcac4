"""Which tile lies where in a town, and how it is turned; and where a tile's roads lead.

Answers for towns of ours (a loop with its side roads) and for towns laid after a map, tile by tile. Draws nothing.
Promise: a tile's ways out and its picture agree: both turn with it, from how paint.py draws its kind.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Tuple

from duck_protection.simulation.crossings import ways_out

if TYPE_CHECKING:  # town.py names these types
    from duck_protection.simulation.town import Cell, Town

STRAIGHTS = 2  # differently worn straight tiles a look
WAYS: Dict[str, Tuple[int, ...]] = {  # of an unturned tile, in quarter turns from east
    "straight": (0, 2), "curve": (0, 1), "crossing3": (0, 1, 2), "crossing4": (0, 1, 2, 3),
}  # fmt: skip
GROUNDS = ("grass", "asphalt", "floor")
STEPS: Tuple[Tuple[int, int], ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))  # east, north, west, south

Laid = Tuple["Cell", str, float]  # where, which of the scene's materials, turned by how many radians


@dataclass(frozen=True)
class Tile:
    """One tile of a map: a kind of WAYS or GROUNDS, turned anticlockwise by quarters of a circle."""

    cell: Cell
    kind: str
    quarters: int = 0

    def neighbours(self) -> Tuple[Cell, ...]:
        """The tiles that its roads lead to, whatever lies there; none of a ground."""
        steps = [STEPS[(way + self.quarters) % 4] for way in WAYS.get(self.kind, ())]
        return tuple((self.cell[0] + dx, self.cell[1] + dy) for dx, dy in steps)


@dataclass(frozen=True)
class Thing:
    """What a map says stands there: its kind in the map's words, metres, radians anticlockwise from east."""

    kind: str
    x_m: float
    y_m: float
    yaw_rad: float
    height_m: float


def laid_tiles(town: Town) -> List[Laid]:
    """Every tile of the town in the order in which a scene lays them; a map's grass and asphalt too, but no floor."""
    if town.tiles:
        mapped = enumerate(tile for tile in town.tiles if tile.kind != "floor")
        return [(tile.cell, _material(tile.kind, i), tile.quarters * math.pi / 2) for i, tile in mapped]
    laid: List[Laid] = []
    cells, crossings = list(town.cells), ways_out(town)
    for i, here in enumerate(cells):
        kind, turn = _tile(cells[i - 1], here, cells[(i + 1) % len(cells)])
        material = _material(kind, i * 7 % 5)
        if here in crossings:
            material, turn = f"crossing{len(crossings[here]) + 2}", crossings[here][0] - math.pi / 2
        laid.append((here, material, turn))
    for road in town.side_roads:
        turn = math.atan2(road[1][1] - road[0][1], road[1][0] - road[0][0])
        laid += [(here, _material("straight", i), turn) for i, here in enumerate(road)]
    return laid


def _material(kind: str, number: int) -> str:
    return f"straight{number % STRAIGHTS}" if kind == "straight" else kind


def _tile(before: Cell, here: Cell, after: Cell) -> Tuple[str, float]:
    """Kind of a road tile and the turn, in radians, from how paint.road_tile draws it."""
    back = math.atan2(before[1] - here[1], before[0] - here[0])
    on = math.atan2(after[1] - here[1], after[0] - here[0])
    between = (on - back) % (2 * math.pi)
    if abs(between - math.pi) < 0.1:
        return "straight", on
    return "curve", back if between < math.pi else on
