"""A robot behind WiFi: the judged frame's age over a link, and what link_node does about it: `./run bench link`.

Robot and workstation live in two network namespaces, joined by a link of 20 Mbit/s with delay and loss. The real nodes
run on both ends: guard and link_node on the robot's, the protection and a scripted model of 30 ms on the other.
Answers, for each delay and loss, with the camera sent as it is and paced by link_node: how old are judged frames when
their verdict is heard on the robot, how many are judged, how far does a robot at 0.19 m/s go until a duck that appears
has stopped it, and how much of the time may it move at all? Needs root. Asserts nothing.
"""
from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from latency import CLEAR, RATE_HZ, RECORD, VEH
from link_relay import Link, Shape, environment, usable
from link_robot import SPEED_MPS
from pictures import FRAME_BYTES
from ros_processes import busy_share, scratch, ticks
from showing import heading, tell
from wire import ROBOT_IP, WORK_IP

from duck_protection.governor import Limits
from duck_protection.recording.results import envelope

MODEL_S = 0.03
TICK_S = 0.05  # of the guard
DRIVE_S, ROLL_M = 0.15, 0.03  # after the zero: actuation delay, roll (docs/safety-case.md)
CASES = [(5.0, 0.0), (5.0, 0.02), (20.0, 0.02), (40.0, 0.02), (80.0, 0.02)]
TOP_MS = 700.0  # of the picture
MODES = ("as it is", "paced")


class Ends:
    """Processes in the two namespaces, ended in reverse."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, []  # type: ignore[var-annotated]

    def start(self, address: str, *command: str) -> None:
        """Runs it there."""
        name = Link.names[address != ROBOT_IP]
        with (self._folder / f"{name}-{len(self._started)}.txt").open("wb") as log:
            self._started.append(subprocess.Popen(["ip", "netns", "exec", name, *command], env=environment(address),
                                                  stdout=log, stderr=log))  # fmt: skip

    def close(self) -> None:
        """Ends all."""
        for process in reversed(self._started):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(options: argparse.Namespace, folder: Path) -> List[Dict[str, Any]]:
    """A row for each way of sending and each link."""
    rows = []
    for mode in MODES:
        with Link() as link:
            ends = Ends(folder)
            try:
                _start(ends, folder, mode)
                for delay_ms, loss in CASES:
                    rows.append(_row(link, mode, Shape(options.mbit_s, delay_ms, loss), options))
                    print(_line(rows[-1]), file=sys.stderr, flush=True)
            finally:
                ends.close()
    return rows


def _start(ends: Ends, folder: Path, mode: str) -> None:
    script, record = folder / "script.yaml", folder / "thresholds.yaml"
    script.write_text(CLEAR % MODEL_S, encoding="utf-8")
    record.write_text(RECORD, encoding="utf-8")
    ends.start(ROBOT_IP, "roscore")
    time.sleep(4.0)
    paced = "true" if mode == "paced" else "false"
    ends.start(ROBOT_IP, "roslaunch", "duck_protection", "robot.launch", f"veh:={VEH}", f"link:={paced}")
    camera = "link_node" if mode == "paced" else "camera_node"
    ends.start(WORK_IP, "roslaunch", "duck_protection", "workstation.launch", f"veh:={VEH}", "backend:=scripted",
               f"script:={script}", f"thresholds:={record}", f"camera:={camera}")  # fmt: skip
    time.sleep(5.0)


def _row(link: Link, mode: str, shape: Shape, options: argparse.Namespace) -> Dict[str, Any]:
    link.shape, before = shape, (link.passed, link.lost, link.overflowed)
    load = ticks()
    program = str(Path(__file__).parent / "link_robot.py")
    command = ["ip", "netns", "exec", Link.names[0], sys.executable, program, "--seconds", str(options.seconds)]
    limit_s = options.seconds + 90
    done = subprocess.run(command, env=environment(ROBOT_IP), stdout=subprocess.PIPE, timeout=limit_s, check=True)
    numbers = json.loads(done.stdout)
    row = {"mode": mode, "delay_ms": shape.delay_ms, "loss": shape.loss, "mbit_s": shape.mbit_s, **numbers}
    row["frames_dropped_share"] = 1 - numbers["frames_judged"] / max(1, numbers["frames_sent"])
    moved = numbers["permitted_share"] > 0  # else it never left its place
    row["stop_m"] = stop_m(numbers["age_p95_ms"] / 1e3, numbers["judged_per_s"]) if moved else None
    row["packets_lost_share"] = (link.lost - before[1]) / max(1, link.passed + link.lost - before[0] - before[1])
    row["packets_overflowed"] = link.overflowed - before[2]
    row["machine_busy_share"] = busy_share(load, ticks())
    return row


def stop_m(age_s: float, judged_per_s: float) -> Optional[float]:
    """Driven from the moment a duck appears until standstill, at SPEED_MPS; None where nothing is judged.

    It waits for the next judged frame, whose verdict is heard when it is age_s old; then a tick of the guard, the
    drive's delay, the roll. Where that lasts longer than the governor trusts the last CLEAR, it has stopped before.
    """
    if not judged_per_s:
        return None
    trusted_s = Limits().max_age_s - Limits().camera_latency_s
    return SPEED_MPS * (min(1 / judged_per_s + age_s, trusted_s) + TICK_S + DRIVE_S) + ROLL_M


def _line(row: Dict[str, Any]) -> str:
    stop = "  stands" if row["stop_m"] is None else f"{100 * row['stop_m']:5.1f} cm"
    return (
        f"  {row['mode']:9s} {row['delay_ms']:5.0f} ms {100 * row['loss']:4.0f} %  {row['age_p50_ms']:7.0f} "
        f"{row['age_p95_ms']:7.0f} {row['age_max_ms']:7.0f}   {row['judged_per_s']:6.1f} "
        f"{100 * row['frames_dropped_share']:7.0f} %   {stop}   {100 * row['permitted_share']:5.0f} %"
    )


def table(result: Dict[str, Any]) -> str:
    """For people."""
    head = [
        heading(result),
        f"camera {RATE_HZ:.0f} Hz, {FRAME_BYTES / 1e3:.0f} kB a picture ({RATE_HZ * FRAME_BYTES * 8e-6:.0f} Mbit/s); "
        f"link {result['mbit_s']:g} Mbit/s; model {1e3 * MODEL_S:.0f} ms",
        "  camera    delay    loss   age p50     p95     max   judged/s  dropped   stopped in  may move",
    ]
    return "\n".join([*head, *map(_line, result["rows"])])


def picture(result: Dict[str, Any], path: Path) -> None:
    """Age against delay, with the governor's limit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), dpi=130)
    for mode, colour, marker, shift in zip(MODES, ("#d54100", "#0072b2"), ("s", "o"), (-0.14, 0.14)):
        for index, row in enumerate(row for row in result["rows"] if row["mode"] == mode):
            _point(axes, row, index + shift, colour, marker)
        axes.plot([], [], marker, color=colour, markersize=8, label=f"camera {mode}: median, line to p95")
    axes.axhline(1e3 * Limits().max_age_s, color="#10141b", linestyle=(0, (4, 3)), linewidth=1)
    axes.text(-0.45, 1e3 * Limits().max_age_s + 8, "older: the governor stops", va="bottom", fontsize=9)
    axes.set_xticks(range(len(CASES)), [f"{delay:.0f} ms\n{100 * loss:.0f} % loss" for delay, loss in CASES])
    axes.set_xlim(-0.5, len(CASES) - 0.5)
    axes.set_ylim(0, TOP_MS)
    axes.set_ylabel("age of the judged frame when heard (ms)")
    title = f"A robot behind WiFi of {result['mbit_s']:g} Mbit/s; per cent of the time that it may move"
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def _point(axes: Any, row: Dict[str, Any], x: float, colour: str, marker: str) -> None:
    """A median with its line to p95, or a cross where it lies above the picture or hardly anything was judged."""
    p50, p95 = row["age_p50_ms"], row["age_p95_ms"]
    beyond = "nothing\njudged" if row["judged_per_s"] < 1 else f"{p50 / 1e3:.1f} s" if p50 > 0.85 * TOP_MS else ""
    if beyond:
        axes.plot(x, 0.93 * TOP_MS, "x", color=colour, markersize=9, markeredgewidth=2.5)
        axes.text(x, 0.90 * TOP_MS, beyond, ha="center", va="top", fontsize=8.5, color=colour)
        return
    axes.vlines(x, p50, p95, color=colour, linewidth=3, alpha=0.5)
    axes.plot(x, p50, marker, color=colour, markersize=8)
    axes.text(x, p50 - 22, f"{100 * row['permitted_share']:.0f} %", ha="center", va="top", fontsize=8.5, color=colour)


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--png", type=Path, help="draw them into this file")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each row")
    parser.add_argument("--mbit-s", type=float, default=20.0)
    options = parser.parse_args(arguments)
    if reason := usable():
        parser.error(reason)
    os.environ.pop("ROS_MASTER_URI", None)
    with scratch() as folder:
        os.environ["ROS_LOG_DIR"] = folder
        rows = measure(options, Path(folder))
    result = envelope("link/1", mbit_s=options.mbit_s, frame_bytes=FRAME_BYTES, camera_hz=RATE_HZ, rows=rows)
    tell(result, table(result), options.json)
    if options.png:
        picture(result, options.png)


if __name__ == "__main__":
    main()
