"""What a bed needs of the machine: words in front of its process, or the reason why it cannot stand here.

Apart from beds.py, which imports ROS: the campaign itself is no node.
"""
from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from typing import List


def before(bed: str) -> List[str]:
    """The words in front of the bed's process."""
    return {"two machines": ["unshare", "-n"], "paced": ["unshare", "-n"], "small disk": ["unshare", "-m"]}.get(bed, [])


def missing(bed: str) -> str:
    """Why the bed cannot stand on this machine; empty when it can."""
    if bed in ("two machines", "paced"):
        return _no_namespaces()
    if bed == "small disk":
        return _no_mounts()
    if bed == "two clocks" and shutil.which("gcc") is None:
        return "there is no gcc to build the clocks with"
    return ""


@lru_cache(maxsize=1)
def _no_namespaces() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip (iproute2) to make networks with"
    script = "ip tuntap add dev wire0 mode tap"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this kernel gives no network namespaces with taps"


@lru_cache(maxsize=1)
def _no_mounts() -> str:
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)  # not in a plain chroot, for one
    return "" if done.returncode == 0 else "no mounts of one's own can be had here"
