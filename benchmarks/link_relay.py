"""A WiFi between two network namespaces: rate, delay, loss and a queue, made by a relay in this process.

For machines whose kernel has no netem. Each namespace gets one end of a TUN device, this process holds the others and
passes packets on. Promise: nothing outside the two namespaces is touched, and both are gone after the with-block.
"""
from __future__ import annotations

import os
import random
import select
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Type

from wire import ROBOT_IP, TUN, WORK_IP, Held, device, packets


@dataclass(frozen=True)
class Shape:
    """Each way: Mbit/s, one-way delay in ms, share of packets lost, and the longest queue in ms of that rate."""

    mbit_s: float = 20.0
    delay_ms: float = 5.0
    loss: float = 0.02
    queue_ms: float = 250.0  # an access point's buffer: some hundred packets at 20 Mbit/s


class Link:
    """Two namespaces, duck_robot and duck_workstation, joined."""

    names = ("duck_robot", "duck_workstation")

    def __init__(self, seed: int = 1) -> None:
        self.shape = Shape()
        self.passed = self.lost = self.overflowed = 0
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._fds: List[int] = []
        self._thread = threading.Thread(target=self._relay, name="relay", daemon=True)

    def __enter__(self) -> Link:
        self._remove()
        for name, own, other in zip(self.names, (ROBOT_IP, WORK_IP), (WORK_IP, ROBOT_IP)):
            self._fds.append(device(end := f"tun_{name[5:9]}", TUN))
            _ip("netns", "add", name)
            _ip("link", "set", end, "netns", name)
            for words in (("addr", "add", own, "peer", other, "dev", end), ("link", "set", end, "up"),
                          ("link", "set", "lo", "up")):  # fmt: skip
                _ip("-n", name, *words)
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], err: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._ended.set()
        self._thread.join()
        for fd in self._fds:
            os.close(fd)
        self._remove()

    def _remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)

    def _relay(self) -> None:
        free_s = [0.0, 0.0]  # when each way's air is free again
        held = Held()
        while not self._ended.is_set():
            for fd in select.select(self._fds, [], [], held.wait_s(time.monotonic(), 0.05))[0]:
                way = self._fds.index(fd)
                for packet in packets(fd):
                    due_s = self._due(len(packet), way, free_s)
                    if due_s is not None:
                        held.put(due_s, self._fds[1 - way], packet)
            for to, packet in held.due(time.monotonic()):
                os.write(to, packet)

    def _due(self, size: int, way: int, free_s: List[float]) -> Optional[float]:
        """When a packet arrives; None: it does not."""
        shape, now_s = self.shape, time.monotonic()
        start_s = max(now_s, free_s[way])
        if start_s - now_s > shape.queue_ms / 1e3:
            self.overflowed += 1
            return None
        free_s[way] = start_s + size * 8 / (shape.mbit_s * 1e6)
        if self._random.random() < shape.loss:
            self.lost += 1
            return None
        self.passed += 1
        return free_s[way] + shape.delay_ms / 1e3


def environment(address: str) -> Dict[str, str]:
    """ROS's variables for a process in the namespace of that address; the master is the robot's."""
    return {**os.environ, "ROS_MASTER_URI": f"http://{ROBOT_IP}:11311", "ROS_IP": address, "ROS_HOSTNAME": address}


def usable() -> str:
    """Empty, or why this machine cannot."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if Path("/dev/net/tun").exists() else "this machine has no /dev/net/tun"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)
