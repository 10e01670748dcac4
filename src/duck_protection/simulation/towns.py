"""Towns by name: a few that people know, endless random ones with side roads or without, and Duckietown's own maps.

Promise: a name is always the same town; official ones need Duckietown's package (official.py).
"""
from __future__ import annotations

from typing import Callable, Dict, List

from duck_protection.simulation.crossings import random_crossings
from duck_protection.simulation.town import Cell, Town, cells_between, random_town

CORNERS: Dict[str, List[Cell]] = {
    "ring": [(0, 0), (4, 0), (4, 2), (0, 2)],
    "l_loop": [(0, 0), (4, 0), (4, 2), (2, 2), (2, 4), (0, 4)],
    "u_loop": [(0, 0), (6, 0), (6, 4), (4, 4), (4, 2), (2, 2), (2, 4), (0, 4)],
    "s_loop": [(0, 0), (4, 0), (4, 2), (6, 2), (6, 5), (2, 5), (2, 3), (0, 3)],
}
DRAWN: Dict[str, Callable[[int], Town]] = {"random": random_town, "crossings": random_crossings}


def town_named(name: str) -> Town:
    """A town by name: one of CORNERS, "official:MAP", "random:SEED" or "crossings:SEED".

    The first two also with "_reversed" for the other way round.

    Raises:
        ValueError: No such town; the message lists the names.
    """
    kind, _, seed = name.partition(":")
    if kind in DRAWN and seed.isdigit():
        return DRAWN[kind](int(seed))
    base = name[: -len("_reversed")] if name.endswith("_reversed") else name
    if kind == "official":
        from duck_protection.simulation.official_maps import official_town  # reads files

        town = official_town(base.partition(":")[2])
        return town if base == name else town.reverse()
    if base not in CORNERS:
        known = ", ".join([*sorted(CORNERS), "official:MAP", *(f"{kind}:SEED" for kind in DRAWN)])
        raise ValueError(f"no town {name!r}; known: {known}; those without a seed also _reversed")
    town = Town(base, tuple(cells_between(CORNERS[base])))
    return town if base == name else town.reverse()
