"""The network between two machines: a wire in user space between two network namespaces, which can be bent.

Each namespace has a tap; this process carries every packet between them, or delays, drops or cuts, each direction
for itself. It stands in for netem, which not every kernel has. Reads a JSON object a line from stdin, such as
{"to_work": {"delay_s": 0.3}, "to_robot": {"loss": 1.0}}; a direction that is not named is whole.
Runs in the robot's namespace, as root: relay.py PID, of a process in the workstation's.
"""
from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any, Dict, List, Tuple

ROBOT_IP, WORK_IP = "10.77.0.1", "10.77.0.2"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x2, 0x1000  # linux/if_tun.h
PACKET_BYTES = 65536
WHOLE = {"delay_s": 0.0, "jitter_s": 0.0, "loss": 0.0}
HELD = 2000  # packets under way at most, each direction


def tap(name: str) -> int:
    """A new tap device; it lasts as long as the descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def wire(work_pid: str) -> Tuple[int, int]:
    """Both taps, addressed and up: the robot's, the workstation's."""
    robot, work = tap("robot0"), tap("work0")
    there = ["nsenter", "-t", work_pid, "-n"]
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "addr", "add", f"{ROBOT_IP}/24", "dev", "robot0"],
        ["ip", "link", "set", "robot0", "up"],
        ["ip", "link", "set", "work0", "netns", work_pid],
        [*there, "ip", "link", "set", "lo", "up"],
        [*there, "ip", "addr", "add", f"{WORK_IP}/24", "dev", "work0"],
        [*there, "ip", "link", "set", "work0", "up"],
    ):
        subprocess.run(command, check=True)
    return robot, work


class Relay:
    """Carries packets until stdin ends."""

    def __init__(self, robot: int, work: int) -> None:
        self._ways = {robot: (work, "to_work"), work: (robot, "to_robot")}
        self._bent: Dict[str, Dict[str, float]] = {"to_work": WHOLE, "to_robot": WHOLE}
        self._held: List[Tuple[float, int, int, bytes]] = []
        self._count = 0
        self._random = random.Random(3)

    def run(self) -> None:
        """The loop."""
        while True:
            wait_s = max(0.0, self._held[0][0] - time.monotonic()) if self._held else 1.0
            ready, _, _ = select.select([*self._ways, 0], [], [], wait_s)
            for descriptor in ready:
                if descriptor == 0:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._bend(json.loads(line))
                else:
                    self._take(descriptor)
            self._give()

    def _bend(self, orders: Dict[str, Any]) -> None:
        self._bent = {way: {**WHOLE, **orders.get(way, {})} for way in self._bent}

    def _take(self, descriptor: int) -> None:
        try:
            packet = os.read(descriptor, PACKET_BYTES)
        except BlockingIOError:
            return
        to, way = self._ways[descriptor]
        bent = self._bent[way]
        if self._random.random() < bent["loss"] or len(self._held) > 2 * HELD:
            return
        self._count += 1
        due_s = time.monotonic() + bent["delay_s"] + self._random.uniform(0, bent["jitter_s"])
        heapq.heappush(self._held, (due_s, self._count, to, packet))

    def _give(self) -> None:
        now_s = time.monotonic()
        while self._held and self._held[0][0] <= now_s:
            _, _, to, packet = heapq.heappop(self._held)
            with suppress(OSError):  # a full queue drops, as a network does
                os.write(to, packet)


if __name__ == "__main__":
    taps = wire(sys.argv[1])
    print("ready", flush=True)
    Relay(*taps).run()
