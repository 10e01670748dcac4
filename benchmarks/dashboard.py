"""What the operator's page costs its machine, measured on the real node: `./run bench dashboard`.

Answers: how much of one core does dashboard_node take for four robots at 10 Hz on the page, with nobody looking, one
visitor, and more; and how much memory? Cameras (640x480 JPEGs of about 98 kB), verdicts and heartbeats are played here;
the visitors are WebSocket clients of this process. Asserts nothing.
"""
from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import psutil
import rospy
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import Twist2DStamped
from latency import pid_of
from pictures import FRAME_BYTES, noisy
from ros_processes import busy_share, launch, master, rss_kb, scratch, ticks
from sensor_msgs.msg import CompressedImage
from showing import heading, tell
from std_msgs.msg import Header
from websockets.sync.client import connect

from duck_protection.recording.results import envelope
from duck_protection.tally import quantile

PORT = 8797
VERDICT_HZ = 20.0


class Fleet:
    """Plays the robots: one thread, all topics."""

    def __init__(self, names: List[str], camera_hz: float) -> None:
        self._pictures = noisy(11, 16)
        self._camera_hz = camera_hz
        self._ended = threading.Event()
        self._frames, self._verdicts, self._beats, self._commands = [
            [rospy.Publisher(f"/{name}/{topic}", kind, queue_size=1, tcp_nodelay=True) for name in names]
            for topic, kind in (
                ("duck_protection_node/seen/image/compressed", CompressedImage),
                ("duck_protection_node/verdict", DuckVerdict),
                ("lane_guard_node/heartbeat", Header), ("lane_guard_node/car_cmd", Twist2DStamped))
        ]  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number, due_s, verdict_s = 0, time.monotonic(), 0.0
        while not self._ended.is_set():
            stamp = rospy.Time.from_sec(time.time())
            picture = CompressedImage(format="jpeg", data=self._pictures[number % len(self._pictures)])
            picture.header.stamp = stamp
            for publisher in self._frames:
                publisher.publish(picture)
            if time.monotonic() - verdict_s >= 1 / VERDICT_HZ:
                verdict_s = time.monotonic()
                self._say(stamp)
            number += 1
            due_s = max(due_s + 1 / self._camera_hz, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _say(self, stamp: rospy.Time) -> None:
        verdict = DuckVerdict(level=DuckVerdict.CLEAR, reason="clear: p(clear) 0.97", choices=["Clear", "Slow", "Stop"])
        verdict.header.stamp, verdict.probabilities, verdict.age_ms = stamp, [0.97, 0.02, 0.01], 40.0
        for verdicts, beats, commands in zip(self._verdicts, self._beats, self._commands):
            verdicts.publish(verdict)
            beats.publish(Header(stamp=stamp))
            commands.publish(Twist2DStamped(v=0.19))


class Visitor:
    """Looks at the page as a browser does: takes each message and says so."""

    def __init__(self) -> None:
        self.messages = self.bytes = self.pictures = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with connect(f"ws://127.0.0.1:{PORT}/ws", max_size=None, compression=None) as socket:
            socket.recv()
            while not self._ended.is_set():
                message = socket.recv(10.0)
                socket.send("taken")
                self.messages, self.bytes = self.messages + 1, self.bytes + len(message)
                head = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
                self.pictures += len(head["pictures"])

    def close(self) -> None:
        """Leaves."""
        self._ended.set()
        self._thread.join()


def cpu_s(pid: int) -> float:
    """Computing time of a process so far, all threads."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def share(pid: int, visitors: int, seconds: float) -> Dict[str, Any]:
    """Of one core, while so many look."""
    looking = [Visitor() for _ in range(visitors)]
    time.sleep(2.0)
    messages, got = [v.messages for v in looking], [v.pictures for v in looking]
    before, begun, load, sizes = cpu_s(pid), time.monotonic(), ticks(), []
    while time.monotonic() < begun + seconds:
        time.sleep(0.5)
        sizes.append(rss_kb(pid))
    passed_s = time.monotonic() - begun
    row = {
        "visitors": visitors,
        "core_share": (cpu_s(pid) - before) / passed_s,
        "messages_per_s": sum(v.messages - m for v, m in zip(looking, messages)) / passed_s / max(1, visitors),
        "pictures_per_s": sum(v.pictures - p for v, p in zip(looking, got)) / passed_s / max(1, visitors),
        "memory_mb": quantile(sizes, 1.0) / 1024,
        "machine_busy_share": busy_share(load, ticks()),
    }
    for visitor in looking:
        visitor.close()
    return row


def measure(options: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    """A row for each number of visitors."""
    names = [f"robot{number}" for number in range(options.robots)]
    with master(folder):
        rospy.init_node("dashboard_bench", anonymous=True)
        fleet = Fleet(names, options.camera_hz)
        arguments = {"robots": " ".join(names), "port": PORT, "events": folder / "events", "output": "log"}
        with launch(folder, "dashboard.launch", **arguments):
            pid = pid_of("/dashboard_node")
            rows = [share(pid, visitors, options.seconds) for visitors in options.visitors]
        fleet.close()
    return {"robots": options.robots, "camera_hz": options.camera_hz, "frame_bytes": FRAME_BYTES, "rows": rows}


def table(result: Dict[str, Any]) -> str:
    """For people."""
    lines = [
        heading(result),
        f"{result['robots']} robots, cameras at {result['camera_hz']:g} Hz, pictures of {FRAME_BYTES // 1000} kB",
        "  visitors  of one core  messages/s  pictures/s  memory MB  machine busy",
    ]
    return "\n".join([*lines, *map(_line, result["rows"])])


def _line(row: Dict[str, Any]) -> str:
    return (
        f"  {row['visitors']:8d}  {100 * row['core_share']:9.1f} %  {row['messages_per_s']:10.1f}  "
        f"{row['pictures_per_s']:10.1f}  {row['memory_mb']:9.0f}  {100 * row['machine_busy_share']:10.0f} %"
    )


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--robots", type=int, default=4)
    parser.add_argument("--camera-hz", type=float, default=10.0)
    parser.add_argument("--visitors", type=int, nargs="+", default=[0, 1, 3])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each row")
    options = parser.parse_args(arguments)
    with scratch() as folder:
        result = envelope("dashboard/1", **measure(options, Path(folder)))
    tell(result, table(result), options.json)


if __name__ == "__main__":
    main()
