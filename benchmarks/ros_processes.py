"""A master and launch files of our own, as processes, for benchmarks: nothing of a running ROS is touched.

Promise: the master listens on a free port of this machine, and everything started here ends with its with-block.
"""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import List, Optional, Tuple, Type

ENDS_S = 15.0  # roslaunch takes up to this to end its nodes


class Process:
    """A process that ends with the with-block: asked first, killed when it does not listen."""

    def __init__(self, command: List[str], log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], err: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    @property
    def pid(self) -> int:
        """Of the process itself."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def master(folder: Path, port: int = 0, host: str = "localhost") -> Process:
    """A roscore on a free port, or this one; ROS_MASTER_URI of this process and its children names it from now on."""
    port = port or free_port()
    os.environ.update(ROS_MASTER_URI=f"http://{host}:{port}", ROS_HOSTNAME=host, ROS_LOG_DIR=str(folder))
    process = Process(["roscore", "-p", str(port)], folder / "roscore.txt")
    ends_s = time.monotonic() + 20.0
    while not _answers(port):
        if time.monotonic() > ends_s or not process.alive:
            raise RuntimeError(f"roscore does not start, see {folder}/roscore.txt")
        time.sleep(0.05)
    return process


def launch(folder: Path, file: str, **arguments: object) -> Process:
    """A launch file of ours with these arguments."""
    words = [f"{key}:={value}" for key, value in arguments.items()]
    return Process(["roslaunch", "duck_protection", file, *words], folder / "roslaunch.txt")


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def busy_share(before: Tuple[int, int], after: Tuple[int, int]) -> float:
    """How much of this machine's cores was at work between two ticks(), 0 to 1: numbers of a busy machine say less."""
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def ticks() -> Tuple[int, int]:
    """Of all cores since the start of the machine: at work, and in all."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="utf-8").split("\n")[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for logs and scripts, gone afterwards."""
    return tempfile.TemporaryDirectory(prefix="duck_protection_bench_")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        return True
    except OSError:
        return False
