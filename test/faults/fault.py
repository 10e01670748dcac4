"""What a fault is: a cause with a beginning and an end, and what it is expected to take away.

A cause is a generator. It prepares and yields; strikes and yields; makes good and ends. One that ends without the
second yield is a blow: over as it falls, like the death of a process that is started again by itself.
"""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any, Callable, Iterator

Cause = Callable[[Any, Random], Iterator[None]]  # (bed, the run's own randomness)


class Evidence(Enum):
    """What the fault does to the evidence that lets the wheels turn."""

    LOST = "lost"  # zero within 0.5 s
    KEPT = "kept"  # the wheels go on turning
    UNSURE = "either"  # the wheels may stop or not: whatever they do, they may


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Args:
        name: In the table and for --only.
        group: The table's section.
        bed: Which nodes, and where: a name of beds.BEDS.
        hold_s: How long the cause lasts, and up to a quarter longer.
        lies: The model's answers while it lasts are no evidence.
        quarter: Belongs to the representative quarter for CI.
    """

    name: str
    group: str
    bed: str
    evidence: Evidence
    cause: Cause
    hold_s: float = 1.2
    lies: bool = False
    quarter: bool = False
