"""The loop to drive on a map of road tiles: its crossings straight where that can be, and as long as can be.

Answers one question: which closed way through these tiles? From one picture nobody can tell which way a robot will
turn, so a turn at a crossing costs more than any length. Promise: the same tiles give the same loop; every tile of
it is met once; what is found after SEARCHED steps of search is taken, so that no map takes for ever.
"""
from __future__ import annotations

from typing import Dict, Iterable, Iterator, Mapping, Set, Tuple

from duck_protection.simulation.tiles import Tile
from duck_protection.simulation.town import Cell

SEARCHED = 200_000  # for each number of turns, tenths of a second; no map of Duckietown's package takes 2,000
Links = Mapping[Cell, Tuple[Cell, ...]]


def best_loop(tiles: Iterable[Tile]) -> Tuple[Cell, ...]:
    """The loop with the fewest turns at crossings, of those the longest, of those the first; empty without any."""
    by_cell = {tile.cell: tile for tile in tiles if tile.neighbours()}
    crossings = {cell for cell, tile in by_cell.items() if tile.kind.startswith("crossing")}
    links = _links(by_cell)
    for turns in range(len(crossings) + 1):
        best = max(_loops(links, crossings, turns), key=len, default=())
        if best:
            return best
    return ()


def _links(tiles: Dict[Cell, Tile]) -> Dict[Cell, Tuple[Cell, ...]]:
    """Which road tiles are joined: both have to lead to each other. What leads nowhere is left out."""
    links = {
        cell: tuple(there for there in tile.neighbours() if there in tiles and cell in tiles[there].neighbours())
        for cell, tile in tiles.items()
    }
    while any(len(there) < 2 for there in links.values()):
        ends = {cell for cell, there in links.items() if len(there) < 2}
        links = {
            cell: tuple(c for c in there if c not in ends) for cell, there in links.items() if cell not in ends
        }
    return links


def _loops(links: Links, crossings: Set[Cell], most: int) -> Iterator[Tuple[Cell, ...]]:
    """Every loop with at most so many turns at crossings, from its first tile on, counted from the north-west."""
    order = {cell: i for i, cell in enumerate(sorted(links, key=lambda cell: (-cell[1], cell[0])))}
    steps = 0
    for start in order:
        way, turns, visited = [start], [0], {start}
        open_ends = [iter(links[start])]
        while open_ends:
            steps += 1
            if steps > SEARCHED:
                return
            there = next(open_ends[-1], None)
            if there is None:
                open_ends.pop()
                turns.pop()
                visited.discard(way.pop())
                continue
            turned = turns[-1] + (len(way) > 1 and way[-1] in crossings and _turn(way[-2], there))
            if there == start and len(way) > 2:
                if turned + (start in crossings and _turn(way[-1], way[1])) <= most:
                    yield tuple(way)
            elif there not in visited and order[there] > order[start] and turned <= most:
                way.append(there)
                turns.append(turned)
                visited.add(there)
                open_ends.append(iter(links[there]))


def _turn(before: Cell, after: Cell) -> bool:
    """Whether who comes from one tile and goes on to the other has turned between them."""
    return before[0] != after[0] and before[1] != after[1]
