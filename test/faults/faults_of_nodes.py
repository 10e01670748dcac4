"""Faults of our own processes and of the master: killed, frozen, started again."""
from __future__ import annotations

import os
import signal
from random import Random
from typing import Any, Iterator, List

from beds import GUARD, MODEL
from fault import Cause, Evidence, Fault

LOST = Evidence.LOST


def killed(node: str) -> Cause:
    """SIGKILL; its launch file starts it again."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        pid = bed.pid(node)
        yield
        os.kill(pid, signal.SIGKILL)

    return cause


def frozen(node: str) -> Cause:
    """SIGSTOP, and SIGCONT at the end."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        pid = bed.pid(node)
        yield
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return cause


FAULTS: List[Fault] = [
    Fault("model killed", "model", "whole", LOST, killed(MODEL)),
    Fault("model frozen", "model", "whole", LOST, frozen(MODEL)),
    Fault("guard killed", "our nodes", "whole", LOST, killed(GUARD), quarter=True),
]
