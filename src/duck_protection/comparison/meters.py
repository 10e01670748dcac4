"""What a contender takes of the machine: memory of its processes and of the graphics card, energy of the card.

psutil and NVML measure. Promise: what cannot be measured here (another machine's process, a card that tells no
energy) is None with a reason, never a zero or a guess.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Union
from urllib.parse import urlsplit

import psutil

MIB = 1024**2
VISIBLE = "CUDA_VISIBLE_DEVICES"


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

    why = "the card does not name this process"  # where used_by_mib() knows nothing

    def __init__(self, library: Any, number: int = 0) -> None:
        self._library = library
        self._handle = library.nvmlDeviceGetHandleByIndex(number)

    def about(self) -> Optional[Dict[str, Any]]:
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

    def used_mib(self) -> Optional[float]:
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


@dataclass(frozen=True)
class NoCard:
    """In the place of a card that cannot be asked.

    Args:
        why: For people.
        sure: There is no card in this machine, so that nothing of it can be taken; else nothing is known.
    """

    why: str
    sure: bool

    def about(self) -> Optional[Dict[str, Any]]:
        """None."""
        return None

    def energy_j(self) -> Optional[float]:
        """None."""
        return None

    def used_mib(self) -> Optional[float]:
        """Nothing of no card; None where it is not known."""
        return 0.0 if self.sure else None

    def used_by_mib(self, _: Sequence[int]) -> Optional[float]:
        """As used_mib()."""
        return self.used_mib()


AnyCard = Union[Card, NoCard]


def open_card(device: str = "auto", library: Any = None) -> AnyCard:
    """The NVIDIA card that a model on this device would use.

    Args:
        device: "cuda:N" is the card number N among CUDA_VISIBLE_DEVICES; every other word the first one.
        library: As Card's, but not initialised; None: pynvml.
    """
    if library is None:
        try:
            import pynvml as library
        except ImportError:
            return NoCard("nvidia-ml-py is not installed: nothing is known of a card", sure=False)
    try:
        library.nvmlInit()
        if not library.nvmlDeviceGetCount():
            return NoCard("no NVIDIA card here", sure=True)
        return Card(library, _number(device))
    except library.NVMLError as err:
        nothing = (library.NVML_ERROR_LIBRARY_NOT_FOUND, library.NVML_ERROR_DRIVER_NOT_LOADED)
        absent = getattr(err, "value", None) in nothing
        return NoCard(f"no NVIDIA card here ({err})" if absent else f"NVML: {err}, asked for {device}", absent)
    except ValueError:
        return NoCard(f"{device} among {VISIBLE}={os.environ.get(VISIBLE)} is no number of a card", sure=False)


def _number(device: str) -> int:
    """NVML's number of the card that CUDA calls so; ValueError where that cannot be told."""
    kind, _, told = device.partition(":")
    number = int(told) if kind == "cuda" and told else 0
    seen = [one for one in os.environ.get(VISIBLE, "").split(",") if one]
    if seen and number >= len(seen):
        raise ValueError(device)
    return int(seen[number]) if seen else number


def taken_by(pid: Optional[int], card: AnyCard) -> Taken:
    """What a process and its children have now."""
    if pid is None:
        return Taken(None, None, "its process is not on this machine, or cannot be seen from here")
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        resident = sum(one.memory_info().rss for one in family) / MIB
    except psutil.Error as err:
        return Taken(None, None, f"process {pid} cannot be measured: {err}")
    used = card.used_by_mib([one.pid for one in family])
    return Taken(resident, used, "" if used is not None else card.why)


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
