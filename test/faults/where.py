"""What a bed needs of the machine: words in front of its process, or the reason why it cannot stand here.

Apart from beds.py, which imports ROS: the campaign itself is no node.
"""
from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import List

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
NET_BEDS, CLOCK_BEDS = ("two machines",), ("two clocks",)


def before(bed: str) -> List[str]:
    """The words in front of the bed's process."""
    return ["unshare", "-n"] if bed in NET_BEDS else []


def missing(bed: str) -> str:
    """Why the bed cannot stand on this machine; empty when it can."""
    if bed in NET_BEDS:
        return _no_namespaces()
    if bed in CLOCK_BEDS and not FAKETIME.exists():
        return "libfaketime is not installed"
    return ""


@lru_cache(maxsize=1)
def _no_namespaces() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    script = "ip link add one type veth peer name two && ip tuntap add dev three mode tap"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this kernel gives no network namespaces with taps"
