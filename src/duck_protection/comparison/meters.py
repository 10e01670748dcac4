"""What a contender takes of the machine: memory of its processes and of the graphics card, energy of the card.

psutil and NVML measure. Promise: what cannot be measured here (another machine's process, a card that tells no
energy) is None with a reason, never a zero or a guess.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence
from urllib.parse import urlsplit

import psutil

MIB = 1024**2


@dataclass(frozen=True)
class Taken:
    """Memory in MiB; None where it cannot be known, and why."""

    resident_mib: Optional[float]
    card_mib: Optional[float]
    why: str = ""


class Card:
    """One NVIDIA card, through NVML.

    Args:
        library: The pynvml module, or anything that speaks like it; initialised.
    """

    def __init__(self, library: Any, number: int = 0) -> None:
        self._library = library
        self._handle = library.nvmlDeviceGetHandleByIndex(number)

    def about(self) -> Dict[str, Any]:
        """Name, driver and memory, for the report."""
        total = self._library.nvmlDeviceGetMemoryInfo(self._handle).total
        return {
            "name": _text(self._library.nvmlDeviceGetName(self._handle)),
            "driver": _text(self._library.nvmlSystemGetDriverVersion()),
            "memory_mib": round(total / MIB),
            "tells_energy": self.energy_j() is not None,
        }

    def energy_j(self) -> Optional[float]:
        """Joules since the driver was loaded; None on cards that do not count (before Volta)."""
        try:
            return float(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
        except self._library.NVMLError:
            return None

    def used_mib(self) -> float:
        """By everybody."""
        return float(self._library.nvmlDeviceGetMemoryInfo(self._handle).used) / MIB

    def used_by_mib(self, pids: Sequence[int]) -> Optional[float]:
        """By these processes; None when the card does not name them (containers hide process numbers)."""
        try:
            processes = self._library.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._library.NVMLError:
            return None
        known = [process.usedGpuMemory for process in processes if process.pid in pids and process.usedGpuMemory]
        return sum(known) / MIB if known else None


def open_card() -> tuple[Optional[Card], str]:
    """This machine's first NVIDIA card; without one None and why."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return Card(pynvml), ""
    except ImportError:
        return None, "nvidia-ml-py is not installed"
    except pynvml.NVMLError as err:
        return None, f"no NVIDIA card here ({err})"


def taken_by(pid: Optional[int], card: Optional[Card]) -> Taken:
    """What a process and its children have now."""
    if pid is None:
        return Taken(None, None, "its process is not on this machine, or cannot be seen from here")
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        resident = sum(one.memory_info().rss for one in family) / MIB
    except psutil.Error as err:
        return Taken(None, None, f"process {pid} cannot be measured: {err}")
    if card is None:
        return Taken(resident, 0.0)  # no card in this machine: nothing of it is taken
    used = card.used_by_mib([one.pid for one in family])
    return Taken(resident, used, "" if used is not None else "the card does not name this process")


def listener(url: str) -> Optional[int]:
    """The process that listens on a local URL's port; None when there is none, or it is hidden."""
    port = urlsplit(url).port
    try:
        found: List[Optional[int]] = [
            one.pid for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        ]  # fmt: skip
    except psutil.Error:
        return None
    return next((pid for pid in found if pid), None)


def load_average() -> float:
    """Of the last minute: what else kept this machine busy."""
    return os.getloadavg()[0]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
