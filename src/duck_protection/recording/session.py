"""A launch file in the background on a master of its own, and one node in the foreground that has the terminal.

Answers: did it end well? Promise: when run() returns, everything it started is gone, whatever happened, Ctrl-C
included; the nodes' output lies in the log folder, and its end is shown when something failed.
"""
from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping

VEH = "duckie"
MASTER_S = 30.0  # for roscore to answer; it takes 2 s on two busy cores
GRACE_S = 20.0  # for everything to end: roslaunch itself waits 15 s for its nodes
TAIL_LINES = 12
INTERRUPTED = 130  # exit status, as a shell gives it after Ctrl-C
PR_SET_PDEATHSIG = 1  # from linux/prctl.h: a child hears when its parent is gone


@dataclass(frozen=True)
class Plan:
    """What to run.

    Args:
        launch: File in launch/, with its arguments.
        node: Name of the foreground node, a module in nodes/ with a main().
        parameters: Its private parameters.
        topics: Its private topics, and what they are remapped to, both relative to the robot's namespace.
        logs: Folder, emptied first.
    """

    launch: str
    arguments: Mapping[str, Any]
    node: str
    parameters: Mapping[str, Any]
    topics: Mapping[str, str]
    logs: Path


def run(plan: Plan) -> int:
    """Runs until the foreground node ends; the exit status: its own, 1 when a node died, 130 after Ctrl-C."""
    shutil.rmtree(plan.logs, ignore_errors=True)
    plan.logs.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = _free_port()
    environment = {**os.environ, "ROS_MASTER_URI": f"http://localhost:{port}", "ROS_LOG_DIR": str(plan.logs)}
    environment.setdefault("ROS_HOSTNAME", "localhost")
    started: List[subprocess.Popen[bytes]] = []
    try:
        started.append(_background(plan, port, environment))
        if not _answers(port, started[0]):
            return _failed("the ROS master did not start", plan.logs)
        started.append(_foreground(plan, environment))
        return _watched(started[0], started[1], plan.logs)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        for process in reversed(started):
            _end(process)


def _background(plan: Plan, port: int, environment: Dict[str, str]) -> subprocess.Popen[bytes]:
    arguments = [f"{key}:={_text(value)}" for key, value in {"veh": VEH, **plan.arguments}.items()]
    command = ["roslaunch", "-p", str(port), "duck_protection", plan.launch, *arguments]
    with (plan.logs / "roslaunch.txt").open("wb") as sink:
        return subprocess.Popen(
            command, env=environment, stdout=sink, stderr=sink, start_new_session=True, preexec_fn=_die_with_parent
        )


def _foreground(plan: Plan, environment: Dict[str, str]) -> subprocess.Popen[bytes]:
    code = f"from duck_protection.nodes.{plan.node} import main; main()"
    command = [sys.executable, "-c", code, f"__ns:=/{VEH}", f"__name:={plan.node}"]
    command += [f"_{key}:={json.dumps(value)}" for key, value in plan.parameters.items()]
    command += [f"/{VEH}/{plan.node}/{ours}:=/{VEH}/{theirs}" for ours, theirs in plan.topics.items()]
    return subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent)


def _watched(launch: subprocess.Popen[bytes], node: subprocess.Popen[bytes], logs: Path) -> int:
    while node.poll() is None:
        if launch.poll() is not None:
            _end(node)
            return _failed("a node died, and everything with it", logs)
        time.sleep(0.1)
    if any("has died" in line for line in _lines(logs / "roslaunch.txt")):
        return _failed("a node died", logs)
    return node.returncode


def _answers(port: int, launch: subprocess.Popen[bytes]) -> bool:
    deadline_s = time.monotonic() + MASTER_S
    while time.monotonic() < deadline_s and launch.poll() is None:
        try:
            with socket.create_connection(("localhost", port), timeout=1.0):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """SIGINT to the child when this process is killed: no simulator goes on by itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT, as a person would; harder when it does not listen."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(GRACE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


def _failed(what: str, logs: Path) -> int:
    """Shows who died and what was said last; 1."""
    died = [line for line in _lines(logs / "roslaunch.txt") if "has died" in line]
    print(f"FAILED: {what}", *died, sep="\n", file=sys.stderr)
    for path in [*sorted(logs.rglob(f"{VEH}-*-stdout.log")), logs / "roslaunch.txt"]:
        tail = _lines(path)[-TAIL_LINES:]
        if tail:
            print(f"--- {path}", *tail, sep="\n", file=sys.stderr)
    return 1


def _lines(path: Path) -> List[str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip(" =")]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
