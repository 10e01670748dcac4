"""Two machines on one: a network of their own between robot and workstation, or a wall clock for each."""
from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, List

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from ros_processes import Process
from wire import WORK_IP

HERE = Path(__file__).resolve().parent


class Network:
    """The wire between the robot, which is here, and the workstation's namespace.

    Args:
        listener: The node on the robot whose subscription to topic is tapped, in that node's own packets.
        tell: Gets the monotonic time and the serialised message, from a thread of its own.
    """

    def __init__(self, stack: ExitStack, folder: Path, listener: str, topic: str,
                 tell: Callable[[float, bytes], None]) -> None:  # fmt: skip
        self._holder = stack.enter_context(Process(["unshare", "-n", "sleep", "36000"], folder / "holder.txt"))
        time.sleep(0.5)  # until it has its namespace; nothing tells
        words = [sys.executable, str(HERE / "relay.py"), str(self._holder.pid), listener, topic]
        self._relay = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(self._end)
        if self._relay.stdout.readline() != "ready\n":
            raise RuntimeError("the relay did not start")
        threading.Thread(target=self._listen, args=(tell,), name="wiretap", daemon=True).start()

    @property
    def there(self) -> List[str]:
        """Words that run a command on the workstation."""
        return ["nsenter", "-t", str(self._holder.pid), "-n", "env", f"ROS_HOSTNAME={WORK_IP}"]

    def bend(self, **ways: Any) -> None:
        """to_work, to_robot: what happens to packets that way."""
        self._relay.stdin.write(json.dumps(ways) + "\n")
        self._relay.stdin.flush()

    def _listen(self, tell: Callable[[float, bytes], None]) -> None:
        for line in self._relay.stdout:
            message = json.loads(line)
            tell(message["mono_s"], base64.b64decode(message["data"]))

    def _end(self) -> None:
        self._relay.stdin.close()
        self._relay.wait(10.0)


class Clocks:
    """The wall clocks of robot and workstation: eight bytes each, which clock_shim.c reads at every look."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._shim = folder, folder / "clock_shim.so"
        source = str(HERE / "clock_shim.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(self._shim), source], check=True)

    def set(self, machine: str, ahead_s: float) -> None:
        """robot or work; how far ahead of this process's clock."""
        with self._file(machine).open("r+b" if self._file(machine).exists() else "xb") as file:
            file.write(struct.pack("q", round(ahead_s * 1e9)))  # in place: the nodes have it mapped

    def words(self, machine: str) -> List[str]:
        """Words that run a command by that clock."""
        return ["env", f"LD_PRELOAD={self._shim}", f"CLOCK_AHEAD={self._file(machine)}"]

    def _file(self, machine: str) -> Path:
        return self._folder / f"{machine}.clock"
