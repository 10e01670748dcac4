"""How much time passes from a camera's stamp to the verdict, measured on the real nodes: `./run bench latency`.

Answers: what do the nodes add to the model's own time; how old is what a slow model judges; how many verdicts a
second does the shipped duckling give here; does memory grow? Every time is measured from outside, by a node that
plays the camera (30 Hz, 640x480, noisy JPEGs of about 98 kB) and hears the verdicts. Asserts nothing.
"""
from __future__ import annotations

import argparse
import itertools
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import rosgraph
import rospy
from duck_protection.msg import DuckVerdict
from pictures import FRAME_BYTES, noisy
from ros_processes import Process, busy_share, launch, master, rss_kb, scratch, ticks
from sensor_msgs.msg import CompressedImage
from showing import heading, tell

from duck_protection.nodes.master import proxy
from duck_protection.recording.results import envelope
from duck_protection.tally import quantile

ROOT = Path(__file__).resolve().parent.parent
VEH = "bench"
RATE_HZ = 30.0
SLOW_S = 0.2
CLEAR = "- {probabilities: {Clear: 0.97, Slow: 0.02, Stop: 0.01}, delay_s: %s}\n"
RECORD = (
    '- {model: scripted, revision: "0", dtype: none, backend: scripted, question: road@1,'
    " stop_at: 0.2, clear_at: 0.8, max_off_mass: 0.1}\n"
)


class Observer:
    """Plays the camera and hears the verdicts; wall clock throughout, as all is one machine."""

    def __init__(self) -> None:
        self._pictures = noisy(11, 64)
        self._sent = 0
        self._heard = threading.Event()
        self.ages_ms: Dict[Any, float] = {}  # by frame stamp: when its verdict was first heard
        self.verdicts: List[DuckVerdict] = []  # first hearings only
        self._publisher = rospy.Publisher(
            f"/{VEH}/camera_node/image/compressed", CompressedImage, queue_size=1, tcp_nodelay=True
        )
        rospy.Subscriber(f"/{VEH}/duck_protection_node/verdict", DuckVerdict, self._hear, tcp_nodelay=True)

    def _hear(self, verdict: DuckVerdict) -> None:
        now_s, stamp = time.time(), verdict.header.stamp
        if verdict.probabilities and stamp not in self.ages_ms:
            self.ages_ms[stamp] = (now_s - stamp.to_sec()) * 1e3
            self.verdicts.append(verdict)
        self._heard.set()

    def show(self) -> None:
        """One frame, stamped now."""
        message = CompressedImage(format="jpeg", data=self._pictures[self._sent % len(self._pictures)])
        message.header.stamp, message.header.frame_id = rospy.Time.from_sec(time.time()), "camera"
        self._sent += 1
        self._publisher.publish(message)

    def forget(self) -> None:
        """Starts a new measurement."""
        self.ages_ms, self.verdicts = {}, []

    def steady(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Frames at RATE_HZ for so long, or until that."""
        due_s = time.monotonic()
        ends_s = due_s + seconds
        while time.monotonic() < ends_s and not until():
            self.show()
            due_s += 1 / RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))

    def wait_ready(self, limit_s: float) -> None:
        """Until verdicts come."""
        self.forget()
        self.steady(limit_s, lambda: len(self.verdicts) >= 10)
        if len(self.verdicts) < 10:
            raise RuntimeError(f"no verdicts within {limit_s} s")

    def hurry(self, frames: int) -> None:
        """So many frames, each when the last one's verdict has come."""
        for _ in range(frames):
            self._heard.clear()
            self.show()
            self._heard.wait(0.5)


def overhead(observer: Observer, seconds: float) -> Dict[str, Any]:
    """What the nodes add: the scripted model takes no time."""
    observer.wait_ready(60.0)
    observer.forget()
    before = ticks()
    observer.steady(seconds)
    busy = busy_share(before, ticks())
    ages, made = list(observer.ages_ms.values()), [verdict.age_ms for verdict in observer.verdicts]
    parts = {
        f"overhead_{name}_p50_ms": quantile([getattr(verdict, name) for verdict in observer.verdicts], 0.5)
        for name in ("decode_ms", "wait_ms", "infer_ms")
    }
    return {
        "overhead_p50_ms": quantile(ages, 0.5),
        "overhead_p95_ms": quantile(ages, 0.95),
        "overhead_p99_ms": quantile(ages, 0.99),
        "overhead_published_p50_ms": quantile(made, 0.5),
        "overhead_published_p95_ms": quantile(made, 0.95),
        **{key.replace("_ms_p50", "_p50"): value for key, value in parts.items()},
        "overhead_frames": len(ages),
        "machine_busy_share": busy,
    }


def slow(observer: Observer, seconds: float) -> Dict[str, Any]:
    """How much older than one model time a judged frame is when its verdict is heard."""
    observer.wait_ready(60.0)
    observer.forget()
    observer.steady(seconds)
    excess = [age_ms - SLOW_S * 1e3 for age_ms in observer.ages_ms.values()]
    return {
        "slow_model_ms": SLOW_S * 1e3,
        "slow_model_age_excess_p50_ms": quantile(excess, 0.5),
        "slow_model_age_excess_p99_ms": quantile(excess, 0.99),
        "slow_model_age_excess_max_ms": max(excess),
        "slow_model_frames": len(excess),
    }


def memory(observer: Observer, frames: int) -> Dict[str, Any]:
    """Resident memory of both nodes while so many frames go through, after as many that settle the memory pools."""
    observer.wait_ready(60.0)
    observer.hurry(frames)
    pids = [pid_of(f"/{VEH}/{name}") for name in ("vlm_node", "duck_protection_node")]
    step, seen, sizes_kb = max(1, frames // 40), [], []
    for done in range(0, frames, step):
        observer.hurry(step)
        seen.append(done + step)
        sizes_kb.append(sum(rss_kb(pid) for pid in pids))
    slope = steady_slope(seen, sizes_kb) * 1000
    return {"memory_frames": frames, "memory_mb": sizes_kb[-1] / 1024, "memory_slope_kb_per_1000_frames": slope}


def steady_slope(x: List[int], y: List[int]) -> float:
    """The median of the slopes between all pairs of points: one step, such as a new memory pool, is no leak."""
    pairs = itertools.combinations(zip(x, y), 2)
    return float(np.median([(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs]))


def duckling(observer: Observer, seconds: float) -> Dict[str, Any]:
    """Verdicts a second of the shipped model beside the running simulator, whose camera is the only one."""
    ends_s = time.monotonic() + 120.0
    while len(observer.verdicts) < 10 and time.monotonic() < ends_s:
        time.sleep(0.1)
    observer.forget()
    time.sleep(seconds)
    ages = list(observer.ages_ms.values())
    return {
        "verdicts_per_s_duckling": len(ages) / seconds,
        "duckling_infer_p50_ms": quantile([verdict.infer_ms for verdict in observer.verdicts], 0.5),
        "duckling_age_p50_ms": quantile(ages, 0.5),
        "duckling_age_p95_ms": quantile(ages, 0.95),
    }


def pid_of(node: str, limit_s: float = 30.0) -> int:
    """The process of this node, by its full name, as soon as it is there.

    Raises:
        rosgraph.MasterException, OSError: It is not, within the limit.
    """
    ends_s = time.monotonic() + limit_s
    while True:
        try:
            return int(proxy(rosgraph.Master(rospy.get_name()).lookupNode(node)).getPid(rospy.get_name())[2])
        except (rosgraph.MasterException, OSError):
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.2)


def scripted(folder: Path, delay_s: float, **arguments: object) -> Process:
    """The workstation's nodes with a model that always says clear, after so long."""
    script, record = folder / f"script_{delay_s}.yaml", folder / "thresholds.yaml"
    script.write_text(CLEAR % delay_s, encoding="utf-8")
    record.write_text(RECORD, encoding="utf-8")
    return launch(
        folder, "workstation.launch", veh=VEH, backend="scripted", script=script, thresholds=record, **arguments
    )


def measure(options: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    """Everything that was asked for, one launch after the other."""
    numbers: Dict[str, Any] = {"frame_bytes": FRAME_BYTES, "camera_hz": RATE_HZ, "verdicts_per_s_duckling": None}
    with master(folder):
        rospy.init_node("latency_bench", anonymous=True)
        observer = Observer()
        with scripted(folder, 0.0):
            numbers.update(overhead(observer, options.seconds))
        with scripted(folder, SLOW_S, max_age_s=1.0, deadline_s=0.6):
            numbers.update(slow(observer, options.slow_seconds))
        if options.memory_frames:
            with scripted(folder, 0.0):
                numbers.update(memory(observer, options.memory_frames))
        if options.duckling_seconds and (ROOT / "models" / "duckling").is_dir():
            with launch(folder, "demo.launch", veh=VEH, record="false", seconds=0, allow_uncalibrated="true"):
                numbers.update(duckling(observer, options.duckling_seconds))
    return numbers


def table(result: Dict[str, Any]) -> str:
    """The result for people, a line a number."""
    lines = [heading(result)]
    for key, value in result.items():
        if value is None or isinstance(value, (int, float)):
            shown = "not measured" if value is None else f"{value:12.2f}" if isinstance(value, float) else f"{value:9d}"
            lines.append(f"  {key:40s} {shown}")
    return "\n".join(lines)


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the overhead measurement")
    parser.add_argument("--slow-seconds", type=float, default=40.0, help="with a model that takes 0.2 s")
    parser.add_argument("--memory-frames", type=int, default=10_000, help="0: none")
    parser.add_argument("--duckling-seconds", type=float, default=20.0, help="0: none")
    options = parser.parse_args(arguments)
    with scratch() as folder:
        result = envelope("latency/1", **measure(options, Path(folder)))
    tell(result, table(result), options.json)


if __name__ == "__main__":
    main()
