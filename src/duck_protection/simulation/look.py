"""How one town looks: paint, light, ducks and clutter, drawn from a seed.

Promise: a Look is a plain value; the same seed gives the same one, and DEMO is the one people are shown.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Tuple

import numpy as np

from duck_protection.simulation.paint import Colour, Paint

FLOORS = ("mat", "mat", "grass", "wood", "checks", "carpet")


@dataclass(frozen=True)
class Light:
    """The hall's lamps. Directions point from the lamp to the ground; strengths are 0 to about 1."""

    direction: Tuple[float, float, float] = (0.4, 0.3, -1.0)
    key: float = 0.55
    fill: float = 0.25
    ambient: float = 0.35
    robot_lamp: float = 0.0  # the robot's own white LEDs, which light the ground close by
    colour: Colour = (1.0, 0.98, 0.94)
    shadows: bool = True


@dataclass(frozen=True)
class Look:
    """Everything that does not move. Widths in metres; colours RGB, 0 to 1."""

    seed: int = 0
    paint: Paint = field(default_factory=Paint)
    light: Light = field(default_factory=Light)
    darkness: float = 0.6  # of the hall around, 0 to 1
    duck_widths_m: Tuple[float, ...] = (0.055, 0.05, 0.06, 0.045)
    duck_colours: Tuple[Colour, ...] = ((0.98, 0.80, 0.06), (0.95, 0.76, 0.10), (1.0, 0.84, 0.15))
    beak: Colour = (0.95, 0.35, 0.05)
    clutter: int = 16  # houses, boxes, trees, signs
    gloss: float = 0.4

    def duck_width_m(self, number: int) -> float:
        """Of the duck with this number: the widths take turns."""
        return self.duck_widths_m[number % len(self.duck_widths_m)]


DEMO = Look(
    seed=5,
    paint=Paint(floor=(0.16, 0.30, 0.14), floor_kind="grass", asphalt=(0.13, 0.13, 0.135)),
    light=Light(key=0.6, ambient=0.42, shadows=False),  # cast shadows double the time of a frame
    darkness=0.3,
)


def random_look(seed: int) -> Look:
    """A look for training: as varied as halls, lamps, tapes and ducks are."""
    rng = np.random.default_rng([seed, 11])
    light = _random_light(rng)
    grey = rng.uniform(0.03, 0.28)
    floor_kind = str(rng.choice(FLOORS))
    paint = Paint(
        asphalt=_tinted(rng, grey, 0.08),
        white=_tinted(rng, rng.uniform(0.65, 0.98), 0.10),
        yellow=(rng.uniform(0.75, 1.0), rng.uniform(0.48, 0.84), rng.uniform(0.0, 0.28)),
        floor=_floor(rng, floor_kind, grey),
        floor_kind=floor_kind,
        grain=rng.uniform(0.1, 0.8),
        wear=rng.uniform(0.0, 0.35),
        stop_lines=bool(rng.random() < 0.25),
    )
    colours = [(rng.uniform(0.82, 1.0), rng.uniform(0.60, 0.90), rng.uniform(0.0, 0.30)) for _ in range(4)]
    return Look(
        seed=seed,
        paint=paint,
        light=light,
        darkness=float(rng.uniform(0.0, 1.0)),
        duck_widths_m=tuple(rng.uniform(0.035, 0.070, 5)),
        duck_colours=tuple(colours),
        beak=(rng.uniform(0.75, 1.0), rng.uniform(0.10, 0.50), rng.uniform(0.0, 0.15)),
        clutter=int(rng.integers(4, 34)),
        gloss=float(rng.uniform(0.0, 0.9)),
    )


def _random_light(rng: np.random.Generator) -> Light:
    lamp = rng.random() < 0.3
    return Light(
        direction=(rng.uniform(-1, 1), rng.uniform(-1, 1), -rng.uniform(0.6, 2.0)),
        key=rng.uniform(0.3, 0.95),
        fill=rng.uniform(0.0, 0.4),
        ambient=rng.uniform(0.25, 0.6),
        robot_lamp=rng.uniform(0.3, 0.9) if lamp else 0.0,
        colour=_tinted(rng, 0.95, 0.12),
        shadows=bool(rng.random() < 0.35),
    )


def _tinted(rng: np.random.Generator, grey: float, spread: float) -> Colour:
    r, g, b = np.clip(grey * (1 + rng.uniform(-spread, spread, 3)), 0, 1)
    return float(r), float(g), float(b)


def _floor(rng: np.random.Generator, kind: str, grey: float) -> Colour:
    if kind == "mat":  # the same rubber as the road, as in real towns
        return _tinted(rng, grey, 0.05)
    if kind == "grass":
        return rng.uniform(0.05, 0.25), rng.uniform(0.2, 0.5), rng.uniform(0.03, 0.2)
    if kind == "wood":
        return rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.42), rng.uniform(0.12, 0.28)
    r, g, b = rng.uniform(0.05, 0.7) * rng.uniform(0.5, 1.0, 3)
    return float(r), float(g), float(b)
