"""Side roads: a loop's straight tiles become three-way and four-way crossings, which the route crosses straight.

Answers: where may a side road begin, and which way does a crossing's tile lie? The route stays the loop, for from one
picture nobody can tell which way a robot will turn. A loop of the random towns' size has room for three ways only.
Promise: a side road touches the loop at its own crossing only, and crossings have a plain straight tile before and
after them.
"""
from __future__ import annotations

import math
from typing import Dict, List, Set, Tuple

import numpy as np

from duck_protection.simulation.town import Cell, Town, random_town

LENGTH_TILES = 2  # of a side road: it ends beyond what matters


def random_crossings(seed: int, most: int = 3) -> Town:
    """A random loop with one to this many crossings: the first random town with room for one, counted from the seed."""
    rng = np.random.default_rng([seed, 31])
    while True:
        cells = random_town(int(rng.integers(2**31))).cells
        town = with_crossings(Town(f"crossings:{seed}", cells), int(rng.integers(1, most + 1)), rng)
        if town.side_roads:
            return town


def with_crossings(town: Town, count: int, rng: np.random.Generator) -> Town:
    """The town with up to count side roads; two of them may meet in one four-way crossing."""
    taken: Set[Cell] = set(town.cells)
    crossings: Set[Cell] = set()
    roads: List[Tuple[Cell, ...]] = []
    sides = _sides(town)
    for here, away in (sides[i] for i in rng.permutation(len(sides))):
        road = tuple((here[0] + n * away[0], here[1] + n * away[1]) for n in range(1, LENGTH_TILES + 1))
        near = any(_beside(here, other) for other in crossings)
        if len(roads) < count and not near and not any(_touches(cell, here, taken) for cell in road):
            roads.append(road)
            taken.update(road)
            crossings.add(here)
    return Town(town.name, town.cells, tuple(roads))


def ways_out(town: Town) -> Dict[Cell, List[float]]:
    """For each crossing the headings of its side roads, radians, first tile outwards."""
    out: Dict[Cell, List[float]] = {}
    for first, second in (road[:2] for road in town.side_roads):
        away = (second[0] - first[0], second[1] - first[1])
        out.setdefault((first[0] - away[0], first[1] - away[1]), []).append(math.atan2(away[1], away[0]))
    return out


def _sides(town: Town) -> List[Tuple[Cell, Cell]]:
    """(tile, direction) wherever a straight tile between two straight ones could have a side road."""
    cells, found = town.cells, []
    straight = [_straight(cells, i) for i in range(len(cells))]
    for i, here in enumerate(cells):
        if straight[i - 1] and straight[i] and straight[(i + 1) % len(cells)]:
            dx, dy = here[0] - cells[i - 1][0], here[1] - cells[i - 1][1]
            found += [(here, (-dy, dx)), (here, (dy, -dx))]
    return found


def _straight(cells: Tuple[Cell, ...], i: int) -> bool:
    before, after = cells[i - 1], cells[(i + 1) % len(cells)]
    return before[0] == after[0] or before[1] == after[1]


def _beside(a: Cell, b: Cell) -> bool:
    return abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1


def _touches(cell: Cell, own: Cell, taken: Set[Cell]) -> bool:
    """Whether this tile is taken, or lies beside a road that is not its own crossing."""
    return cell in taken or any(_beside(cell, other) for other in taken if other != own)
