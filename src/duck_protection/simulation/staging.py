"""One short drive with one scripted duck: where the robot starts, what waits for it, how the town looks.

Answers: what is the drive with this seed? Kinds: a duck that stands in the lane, one that crosses late, one
behind a curve, ducks beside the road only, none. Promise: a Stage depends on kind and seed alone, and the duck that
matters is far enough ahead at the start for a robot with perfect eyes to stop.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Optional, Tuple

import numpy as np

from duck_protection.simulation.crossings import random_crossings
from duck_protection.simulation.episode import DUCKS, Episode
from duck_protection.simulation.flock import (
    LEFT_GOAL_M,
    RIGHT_GOAL_M,
    ROOM_M,
    WALK_FROM_M,
    WALK_MPS,
    Duck,
    Flock,
    Part,
)  # fmt: skip
from duck_protection.simulation.look import DEMO, Light, Look, random_look
from duck_protection.simulation.town import BUMPER_M, LanePath, Town, random_town

if TYPE_CHECKING:
    from duck_protection.simulation.photographer import Photographer

KINDS = ("static", "crossing", "curve", "beside", "none")
LIGHTS = ("bright", "dark", "blurred", "coloured")
STANDS_AHEAD_M = (0.55, 0.80)  # from the bumper at the start: in sight, and STOP is due within eight seconds
CROSSES_AHEAD_M = (0.60, 1.20)
TRIGGER_M = (0.30, 0.70)  # it sets off when the bumper is this near: late
TRIES = 400  # places in one town
TOWNS = 20  # one town in some 200 has no place for a crossing duck: no straight of its length


@dataclass(frozen=True)
class Stage:
    """Everything that a drive begins with. duck: None for drives without one that matters."""

    seed: int
    kind: str
    light: str
    town: Town
    look: Look
    start_s_m: float
    duck: Optional[Duck]
    watchers: bool

    def flock(self, path: LanePath) -> Flock:
        """A new cast for one drive through this stage."""
        return _Cast(path, self._widths(), self.seed, replace(self.duck) if self.duck else None, self.watchers)

    def episode(self) -> Episode:
        """A new drive through this stage, at its beginning."""
        return Episode(self.town, self._widths(), self.seed, s_m=self.start_s_m, flock=self.flock(self.town.path()))

    def photographer(self) -> Photographer:
        """The camera of a drive through this stage."""
        from duck_protection.simulation.photographer import Photographer  # brings MuJoCo

        return Photographer(self.town, self.look, DUCKS, self.seed, blurred=self.light == "blurred")

    def _widths(self) -> Tuple[float, ...]:
        return tuple(self.look.duck_width_m(number) for number in range(DUCKS))


class _Cast(Flock):
    """One duck that acts, at most; after it nobody enters."""

    def __init__(
        self, path: LanePath, widths_m: Tuple[float, ...], seed: int, duck: Optional[Duck], watchers: bool
    ) -> None:
        super().__init__(path, widths_m, seed, duck_every_s=math.inf)
        self._last_s = 0.0
        self.decoys = self.decoys if watchers else []
        self.actor = duck
        if duck is not None:
            self._put(duck)


def stage_of(seed: int, kind: str) -> Stage:
    """The stage of this kind and number.

    Raises:
        ValueError: No such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, KINDS.index(kind), 23])
    light = str(rng.choice(LIGHTS))
    look = _lit(light, random_look(int(rng.integers(2**31))), rng)
    for _ in range(TOWNS):
        town = (random_crossings if rng.random() < 0.4 else random_town)(int(rng.integers(2**31)))
        plotted = _plot(town.path(), kind, look.duck_width_m(0) / 2, rng)
        if plotted is not None:
            return Stage(seed, kind, light, town, look, *plotted, watchers=kind != "none")
    raise RuntimeError(f"{TOWNS} towns have no place for a drive of kind {kind}: the drawing of towns is broken")


def stage_named(name: str) -> Stage:
    """The stage of a name like "crossing:7000012": kind and seed.

    Raises:
        ValueError: No such kind, or no number behind it.
    """
    kind, _, seed = name.partition(":")
    if not seed.isdigit():
        raise ValueError(f"stage {name!r} must be a kind and a number, like static:7")
    return stage_of(int(seed), kind)


def _plot(
    path: LanePath, kind: str, radius_m: float, rng: np.random.Generator
) -> Optional[Tuple[float, Optional[Duck]]]:
    """Where the axle starts along the path, and the duck; None when this loop has no place for it."""
    for _ in range(TRIES):
        start = float(rng.uniform(0, path.length_m))
        reach = CROSSES_AHEAD_M if kind == "crossing" else STANDS_AHEAD_M
        at = start + BUMPER_M + float(rng.uniform(*reach))
        if kind in ("beside", "none"):
            return start, None
        if kind == "crossing" and _straight(path, at - ROOM_M, at + ROOM_M):
            return start, _walker(path, at, radius_m, rng)
        curved = not _straight(path, start, at)
        if kind == "static" or (kind == "curve" and curved):
            yaw = float(rng.uniform(-math.pi, math.pi))
            return start, Duck(0, Part.STANDS, at, float(rng.uniform(-0.08, 0.08)), yaw, radius_m)
    return None


def _walker(path: LanePath, at: float, radius_m: float, rng: np.random.Generator) -> Duck:
    side = 1 if rng.random() < 0.4 else -1
    duck = Duck(0, Part.WALKS, at, side * float(rng.uniform(*WALK_FROM_M)), 0.0, radius_m)
    duck.speed_mps, duck.trigger_m = float(rng.uniform(*WALK_MPS)), float(rng.uniform(*TRIGGER_M))
    duck.goal_m = RIGHT_GOAL_M if side > 0 else LEFT_GOAL_M
    duck.yaw_rad = path.heading(at) - side * math.pi / 2
    return duck


def _straight(path: LanePath, first_m: float, last_m: float) -> bool:
    return all(path.curvature(s) == 0 for s in np.arange(first_m, last_m, 0.05))


def _lit(light: str, look: Look, rng: np.random.Generator) -> Look:
    """The random look under one kind of light; shadows cost twice the time and are left to the training frames."""
    tidy = replace(look, clutter=min(16, look.clutter), duck_widths_m=tuple(max(0.045, w) for w in look.duck_widths_m))
    lamps = {
        "bright": Light(key=0.85, ambient=0.55, shadows=False),
        "dark": Light(key=0.35, fill=0.1, ambient=0.22, robot_lamp=0.5, shadows=False),
        "blurred": replace(DEMO.light, shadows=False),
        "coloured": replace(look.light, shadows=False),
    }
    return replace(tidy, light=lamps[light], darkness=float(rng.uniform(0.0, 0.6)))
