"""Faults of our own processes, of the master, of what the robot feeds them, and of the machine under them."""
from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any, Iterator, List
from urllib.parse import urlparse

from beds import FOLLOWER, GUARD, MODEL, PROTECTION, WATCHDOG
from duckietown_msgs.msg import LanePose
from fault import Cause, Evidence, Fault

from duck_protection.nodes.master import proxy

LOST, KEPT, UNSURE = Evidence.LOST, Evidence.KEPT, Evidence.UNSURE
HOGS = 8


def killed(node: str, number: int = signal.SIGKILL) -> Cause:
    """The signal ends it; its launch file starts it again."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        pid = bed.pid(node)
        yield
        os.kill(pid, number)

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


def _master_pid() -> int:
    return int(proxy(os.environ["ROS_MASTER_URI"]).getPid("/eyewitness")[2])


def master_killed(bed: Any, _: Random) -> Iterator[None]:
    pid = _master_pid()
    yield
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        bed.start_master(urlparse(os.environ["ROS_MASTER_URI"]).port)


def master_frozen(_: Any, __: Random) -> Iterator[None]:
    pid = _master_pid()
    yield
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def fed(**parts: Any) -> Cause:
    """The controller or the lane filter sends this instead; None: nothing."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        whole = {name: getattr(bed.town, name) for name in parts}
        yield
        for name, value in parts.items():
            setattr(bed.town, name, value)
        try:
            yield
        finally:
            for name, value in whole.items():
                setattr(bed.town, name, value)

    return cause


def without_memory(bed: Any, _: Random) -> Iterator[None]:
    """The model's process gets not a page more."""
    pid = bed.pid(MODEL)
    size_kb = next(line.split()[1] for line in _status(pid) if line.startswith("VmSize"))
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    yield
    resource.prlimit(pid, resource.RLIMIT_AS, (int(size_kb) * 1024, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def starved(bed: Any, _: Random) -> Iterator[None]:
    """All our nodes share one core with eight processes that never rest; the witness keeps the other core."""
    cores = sorted(os.sched_getaffinity(0))
    nodes = [bed.pid(node) for node in (GUARD, WATCHDOG, PROTECTION, MODEL)]
    hogs: List[subprocess.Popen] = []
    yield
    try:
        _pin([os.getpid()], {cores[0]})
        _pin(nodes, {cores[-1]})
        hogs += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS)]
        _pin([hog.pid for hog in hogs], {cores[-1]})
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        _pin([os.getpid(), *nodes], set(cores))


def _pin(pids: List[int], cores: set) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def _status(pid: int) -> List[str]:
    return Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()


def _fill(folder: Path) -> List[Path]:
    """Not a byte more has room there. Returns what takes the room."""
    fillers = [folder / f"filler{size}" for size in ("64k", "512")]  # the rest too, smaller than a large block
    for filler in fillers:
        command = ["dd", "if=/dev/zero", f"of={filler}", f"bs={filler.name[6:]}"]
        subprocess.run(command, capture_output=True, check=False)
    return fillers


def disk_full(bed: Any, _: Random) -> Iterator[None]:
    yield
    fillers = _fill(bed.folder)
    try:
        yield
    finally:
        for filler in fillers:
            filler.unlink()


def killed_on_a_full_disk(bed: Any, _: Random) -> Iterator[None]:
    """A guard that has to start without a byte for its log: the disk stays full as long as the bed stands."""
    pid = bed.pid(GUARD)
    _fill(bed.folder)
    yield
    os.kill(pid, signal.SIGKILL)


def _clock(machine: str, to_s: float, from_s: float) -> Cause:
    """That machine's clock is set; the robot's also stamps the pictures."""

    def put(bed: Any, ahead_s: float) -> None:
        bed.part.set(machine, ahead_s)
        if machine == "robot":
            bed.camera.clock_s = ahead_s

    def cause(bed: Any, _: Random) -> Iterator[None]:
        put(bed, from_s)
        bed.drive()
        yield
        put(bed, to_s)

    return cause


def nothing(_: Any, __: Random) -> Iterator[None]:
    """The bed itself is the fault."""
    yield
    yield


NODES, ROBOT, MACHINE = "our nodes", "robot", "machine"
FAULTS: List[Fault] = [
    Fault("model killed", NODES, "whole", LOST, killed(MODEL)),
    Fault("model frozen", NODES, "whole", LOST, frozen(MODEL), quarter=True),
    Fault("model without memory", NODES, "whole", UNSURE, without_memory),
    Fault("protection killed", NODES, "whole", LOST, killed(PROTECTION), quarter=True),
    Fault("protection frozen", NODES, "whole", LOST, frozen(PROTECTION), quarter=True),
    Fault("guard killed", NODES, "whole", LOST, killed(GUARD)),
    Fault("guard told to end", NODES, "whole", LOST, killed(GUARD, signal.SIGTERM), quarter=True),
    Fault("guard frozen", NODES, "whole", LOST, frozen(GUARD)),
    Fault("watchdog killed", NODES, "whole", KEPT, killed(WATCHDOG)),
    Fault("watchdog frozen", NODES, "whole", UNSURE, frozen(WATCHDOG)),
    Fault("follower killed", NODES, "follower", LOST, killed(FOLLOWER)),
    Fault("follower frozen", NODES, "follower", LOST, frozen(FOLLOWER)),
    Fault("controller silent", ROBOT, "whole", LOST, fed(v_mps=None)),
    Fault("controller says NaN", ROBOT, "whole", LOST, fed(v_mps=math.nan), quarter=True),
    Fault("controller wants 5 m/s", ROBOT, "whole", KEPT, fed(v_mps=5.0)),
    Fault("lane pose silent", ROBOT, "follower", LOST, fed(pose=None)),
    Fault("lane pose 1 s old", ROBOT, "follower", LOST, fed(pose_lag_s=1.0), quarter=True),
    Fault("lane pose NaN", ROBOT, "follower", LOST, fed(pose=LanePose(in_lane=True, d=math.nan)), quarter=True),
    Fault("lane pose not in lane", ROBOT, "follower", LOST, fed(pose=LanePose(in_lane=False))),
    Fault("master killed and started again", MACHINE, "whole", KEPT, master_killed),
    Fault("master frozen", MACHINE, "whole", KEPT, master_frozen),
    Fault("nodes starved of CPU", MACHINE, "whole", UNSURE, starved, hold_s=2.0),
    Fault("disk full", MACHINE, "small disk", KEPT, disk_full, hold_s=2.0),
    Fault("guard killed while the disk is full", MACHINE, "small disk", LOST, killed_on_a_full_disk, quarter=True),
    Fault("clocks a second apart", MACHINE, "two clocks", KEPT, nothing),
    Fault("robot's clock set 1 s ahead", MACHINE, "two clocks", LOST, _clock("robot", 1.0, 0.0)),
    Fault("robot's clock set 1 s back", MACHINE, "two clocks", LOST, _clock("robot", 0.0, 1.0), quarter=True),
    Fault("workstation's clock set 1 s ahead", MACHINE, "two clocks", LOST, _clock("work", 1.0, 0.0)),
    Fault("workstation's clock set 1 s back", MACHINE, "two clocks", LOST, _clock("work", 0.0, 1.0)),
]
