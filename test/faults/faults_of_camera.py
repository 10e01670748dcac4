"""Faults of the camera: what it sends, when, and under which stamp."""
from __future__ import annotations

from random import Random
from typing import Any, Callable, Iterator, List

from fault import Cause, Evidence, Fault
from robot import Bend, Shot

LOST = Evidence.LOST


def bent(make: Callable[[Any, Random], Bend]) -> Cause:
    """The camera bends every picture so, from the cause to the end."""

    def cause(bed: Any, rng: Random) -> Iterator[None]:
        bend, whole = make(bed, rng), bed.camera.bend
        yield
        bed.camera.bend = bend
        try:
            yield
        finally:
            bed.camera.bend = whole

    return cause


def silent(_: Any, __: Random) -> Bend:
    return lambda _: []


def frozen(bed: Any, rng: Random) -> Bend:
    picture = rng.choice(bed.camera.pictures)
    return with_data(lambda _: picture)


def with_data(change: Callable[[bytes], bytes]) -> Bend:
    def bend(shot: Shot) -> List[Shot]:
        shot.data = change(shot.data)
        return [shot]

    return bend


FAULTS: List[Fault] = [
    Fault("camera silent", "camera", "whole", LOST, bent(silent)),
    Fault("camera repeats one picture", "camera", "whole", LOST, bent(frozen)),
]
