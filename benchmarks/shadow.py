"""What a shadow costs the model that drives: `./run bench shadow`.

Answers: how much later does vlm_node answer while a second model is shown the same frames (~shadow), behind a server
or in the same process? Three real nodes with the duckling run side by side and are asked in turn, at a robot's 10 Hz:
one without a shadow, one whose shadow is a server elsewhere (here a process that computes nothing and answers after
50 ms, as another machine's would), one whose shadow is a second duckling in its process. The turns repeat, so that
whatever else the machine does meets all alike; intervals are drawn over turns. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import rospy
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from pictures import ROAD, noisy
from ros_processes import Process, busy_share, master, scratch, ticks
from sensor_msgs.msg import CompressedImage
from showing import heading, tell
from std_msgs.msg import String

from duck_protection.nodes.bounded_service import BoundedService
from duck_protection.recording.intervals import Interval, interval
from duck_protection.recording.results import envelope
from duck_protection.tally import quantile

RATE_HZ = 10.0
ELSEWHERE_S = 0.05
FIRST = 3  # of each turn, not counted: caches belong to whoever was asked before
READY_S = 120.0
NONE, SERVER, INSIDE = "none", "a server elsewhere", "in process"


class Driver:
    """One vlm_node, and how long it took to answer."""

    def __init__(self, name: str, shadow: str) -> None:
        self.shadow, self._said = shadow, ""
        self.ms: List[float] = []
        self.turns: List[int] = []
        self._pictures, self._asked = noisy(31, 61), 0
        self._service = BoundedService(f"/{name}/vlm_node/infer", InferImage)
        rospy.Subscriber(f"/{name}/vlm_node/shadow/status", String, self._hear)

    def _hear(self, status: String) -> None:
        self._said = str(status.data)

    @property
    def read(self) -> int:
        """How many frames its shadow has read."""
        return int(self._said.split(" read")[0].split()[-1]) if " read" in self._said else 0

    def ask(self) -> float:
        """Milliseconds from the request to the answer."""
        image = CompressedImage(format="jpeg", data=self._pictures[self._asked % len(self._pictures)])
        image.header.stamp = rospy.Time.from_sec(time.time())
        self._asked += 1
        request = InferImageRequest(image, ROAD.prompt, False, list(ROAD.words), 0, 2.0)
        begun_s = time.perf_counter()
        answer = self._service.call(request, 5.0)
        if answer.status != InferImageResponse.OK:
            raise RuntimeError(f"no verdict: {answer.reason}")
        return 1e3 * (time.perf_counter() - begun_s)

    def wait_ready(self) -> None:
        """Until it answers, and its shadow, if it has one, has read a frame."""
        ends_s = time.monotonic() + READY_S
        while time.monotonic() < ends_s:
            try:
                self.ask()
                if self.shadow == NONE or self.read:
                    return
            except Exception as err:  # not there yet: no service, or it is loading
                self._said = self._said or str(err)
            time.sleep(0.2)
        raise RuntimeError(f"a node does not become ready: {self._said}")

    def turn(self, number: int, frames: int) -> None:
        """So many frames at RATE_HZ."""
        due_s = time.monotonic()
        for place in range(frames):
            took_ms = self.ask()
            if place >= FIRST:
                self.ms.append(took_ms)
                self.turns.append(number)
            due_s += 1 / RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))


def measure(turns: int, frames: int, folder: Path) -> Dict[str, Any]:
    """All three, in turns."""
    server, port = elsewhere()
    settings = {
        "bench_none": (NONE, {}),
        "bench_server": (SERVER, {"backend": "remote", "server_url": f"http://127.0.0.1:{port}"}),
        "bench_inside": (INSIDE, {"backend": "fastvlm"}),
    }  # fmt: skip
    try:
        with master(folder):
            rospy.init_node("shadow_bench", anonymous=True)
            nodes = [_node(name, shadow, folder) for name, (_, shadow) in settings.items()]
            with nodes[0], nodes[1], nodes[2]:
                drivers = [Driver(name, kind) for name, (kind, _) in settings.items()]
                for driver in drivers:
                    driver.wait_ready()
                before = ticks()
                for number in range(turns):
                    for driver in drivers:
                        driver.turn(number, frames)
                busy = busy_share(before, ticks())
    finally:
        server.terminate()
    return {"shadow": [row(driver, drivers[0]) for driver in drivers], "turns": turns, "machine_busy_share": busy}


def _node(name: str, shadow: Dict[str, str], folder: Path) -> Process:
    words = [f"_shadow/{key}:={value}" for key, value in shadow.items()]
    return Process(["rosrun", "duck_protection", "vlm_node.py", f"__ns:=/{name}", *words], folder / f"{name}.txt")


def row(driver: Driver, alone: Driver) -> Dict[str, Any]:
    """What one of them took, and how much later it was than the one without a shadow."""
    later = {f"later_{name}_ms": _later(driver, alone, q).plain() for name, q in (("p50", 0.5), ("p95", 0.95))}
    return {
        "shadow": driver.shadow, "p50_ms": quantile(driver.ms, 0.5), "p95_ms": quantile(driver.ms, 0.95),
        **({} if driver is alone else later), "verdicts": len(driver.ms), "shadow_read": driver.read,
    }  # fmt: skip


def _later(driver: Driver, alone: Driver, q: float) -> Interval:
    ours, theirs = np.array(driver.ms), np.array(alone.ms)
    return interval(lambda drawn: float(np.quantile(ours[drawn], q) - np.quantile(theirs[drawn], q)), driver.turns)


def elsewhere() -> Tuple[Any, int]:
    """A server in a process of its own that says the same of every picture after ELSEWHERE_S, and its port."""
    top = [{"token": word, "logprob": math.log(p)} for word, p in zip(ROAD.words, (0.97, 0.02, 0.01))]
    said = {"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}]}
    models = {"data": [{"id": "elsewhere", "meta": {"revision": "1", "dtype": "none"}}]}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(models)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(ELSEWHERE_S)
            self._say(said)

        def _say(self, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # listens from here on
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    server.socket.close()
    return process, server.server_port


def table(result: Dict[str, Any]) -> str:
    """For people."""
    lines = [heading(result), f"  {'shadow':20s} {'p50 ms':>8s} {'p95 ms':>8s}   later by (95 % interval): p50, p95"]
    for one in result["shadow"]:
        told = [_said(one[key]) for key in ("later_p50_ms", "later_p95_ms") if key in one]
        lines.append(f"  {one['shadow']:20s} {one['p50_ms']:8.1f} {one['p95_ms']:8.1f}   {', '.join(told) or '-':40s}"
                     f" {one['shadow_read']} frames read by it")  # fmt: skip
    lines.append(f"  {result['shadow'][0]['verdicts']} verdicts each in {result['turns']} turns; "
                 f"cores {result['machine_busy_share']:.0%} busy, this benchmark included")  # fmt: skip
    return "\n".join(lines)


def _said(told: Dict[str, float]) -> str:
    return f"{told['value']:+.1f} ms ({told['low']:+.1f} to {told['high']:+.1f})"


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--frames", type=int, default=33, help="in each turn of each node, 10 a second")
    options = parser.parse_args(arguments)
    with scratch() as folder:
        result = envelope("shadow/1", **measure(options.turns, options.frames, Path(folder)))
    tell(result, table(result), options.json)


if __name__ == "__main__":
    main()
