"""The network between two machines: a wire in user space between two network namespaces, which can be bent.

Each namespace has a tap; this process carries every packet between them, or delays, drops or cuts, each direction
for itself. Reads a JSON object a line from stdin, such as {"to_work": {"delay_s": 0.3}, "to_robot": {"loss": 1.0}}; a
direction that is not named is whole. Writes "ready", then a JSON object a line for every message of TOPIC that reaches
SUBSCRIBER on the robot: {"mono_s": when, "data": the serialised message in base64}.
Runs in the robot's namespace, as root: relay.py PID SUBSCRIBER TOPIC, the pid of a process in the workstation's.
"""
from __future__ import annotations

import base64
import json
import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Tuple

from wiretap import Wiretap

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from wire import ROBOT_IP, TAP, WORK_IP, Held, device, packets

WHOLE = {"delay_s": 0.0, "jitter_s": 0.0, "loss": 0.0}
HELD = 4000  # packets under way at most


def wire(work_pid: str) -> Tuple[int, int]:
    """Both taps, addressed and up: the robot's, the workstation's."""
    robot, work = device("robot0", TAP), device("work0", TAP)
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

    def __init__(self, robot: int, work: int, wiretap: Wiretap) -> None:
        self._robot, self._wiretap = robot, wiretap
        self._ways = {robot: (work, "to_work"), work: (robot, "to_robot")}
        self._bent: Dict[str, Dict[str, float]] = {"to_work": WHOLE, "to_robot": WHOLE}
        self._held = Held()
        self._random = random.Random(3)

    def run(self) -> None:
        """The loop."""
        while True:
            ready, _, _ = select.select([*self._ways, 0], [], [], self._held.wait_s(time.monotonic(), 1.0))
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
        to, way = self._ways[descriptor]
        bent = self._bent[way]
        for packet in packets(descriptor):
            if descriptor == self._robot:
                self._wiretap.sent(packet)
            if self._random.random() >= bent["loss"] and len(self._held) < HELD:
                due_s = time.monotonic() + bent["delay_s"] + self._random.uniform(0, bent["jitter_s"])
                self._held.put(due_s, to, packet)

    def _give(self) -> None:
        for to, packet in self._held.due(time.monotonic()):
            try:
                os.write(to, packet)
            except OSError:  # a full queue drops, as a network does
                continue
            if to == self._robot:
                for message in self._wiretap.reached(packet):
                    told = {"mono_s": time.monotonic(), "data": base64.b64encode(message).decode()}
                    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    taps = wire(sys.argv[1])
    print("ready", flush=True)
    Relay(*taps, Wiretap(*sys.argv[2:4])).run()
