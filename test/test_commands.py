"""`./run demo` and `./run replay` as a person starts them: the simulated town, the real nodes, the shipped duckling."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ROOT / "src" / "duck_protection" / "recording"
LIMIT_S = 240.0

pytestmark = [pytest.mark.ros, pytest.mark.timeout(LIMIT_S + 30)]


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMMANDS / name), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)


def frames_of(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_the_duckling_drives_and_stops_before_a_duck(tmp_path: Path) -> None:
    """No rate is asserted: on a slow machine frames come late, late is UNKNOWN, and UNKNOWN stands. On a busy one 30 s
    passed without a stop."""
    copy = tmp_path / "numbers.json"
    done = run("run_demo.py", "--seconds", "45", "--seed", "3", "--out", str(tmp_path), "--json", str(copy))
    numbers = json.loads(copy.read_text())
    assert done.returncode == 0, done.stdout
    assert numbers["schema"] == "demo/1" and numbers["troubles"] == []
    assert (numbers["ducks_hit"], numbers["flank_hits"]) == (0, 0)
    assert numbers["ducks_met"] >= 1 and numbers["stops"] >= 1 and numbers["metres"] > 0.3
    assert numbers["frames_judged"] > 30 and numbers["frame_to_verdict_p95_ms"] > 0
    assert frames_of(tmp_path / "demo.mp4") > 100
    assert (tmp_path / "demo.png").stat().st_size > 20_000


def test_without_protection_the_same_town_is_deadly(tmp_path: Path) -> None:
    """The exit status tells, and so the test above is worth something."""
    more = ("--script", clear_script(tmp_path), "--allow-uncalibrated", "--no-protection")
    done = run("run_demo.py", "--seconds", "20", "--seed", "3", "--out", str(tmp_path), *more)
    numbers = json.loads((tmp_path / "demo.json").read_text())
    assert numbers["ducks_hit"] >= 1, done.stdout
    assert done.returncode == 1


def test_a_dead_node_fails_the_demo_and_is_named(tmp_path: Path) -> None:
    program = str(COMMANDS / "run_demo.py")
    command = [sys.executable, program, "--script", clear_script(tmp_path), "--out", str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.kill(wait_for_node(tmp_path, "sim_node"), signal.SIGKILL)
    output, _ = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 1
    assert "sim_node" in output and "has died" in output
    assert node_pids(tmp_path) == {}, "something goes on by itself"


def test_replay_judges_rendered_pictures(tmp_path: Path) -> None:
    """A duck near in the lane, one far off, and an empty road."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    render(pictures)
    done = run("run_replay.py", str(pictures), "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout
    with (tmp_path / "replay.csv").open(newline="") as file:
        rows = {row["picture"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["1_near.jpg", "2_empty.jpg", "3_far.jpg"]
    assert rows["1_near.jpg"]["level"] == "STOP"
    assert rows["2_empty.jpg"]["level"] in ("CLEAR", "SLOW") and float(rows["2_empty.jpg"]["p_Clear"]) > 0.5
    assert rows["3_far.jpg"]["level"] != "UNKNOWN"
    sums = [sum(float(row[f"p_{word}"]) for word in ("Clear", "Slow", "Stop")) for row in rows.values()]
    assert sums == pytest.approx([1.0] * 3, abs=1e-3)
    assert frames_of(tmp_path / "replay.mp4") == 3


def clear_script(folder: Path) -> str:
    """A model that sees no duck anywhere."""
    script = folder / "script.yaml"
    script.write_text("- {probabilities: {Clear: 0.98, Slow: 0.01, Stop: 0.01}}\n")
    return str(script)


def render(folder: Path) -> None:
    """Three pictures of the demo's town, on a straight, the robot in the middle of its lane."""
    from duck_protection.simulation.camera import Eye
    from duck_protection.simulation.look import DEMO
    from duck_protection.simulation.scene import Scene
    from duck_protection.simulation.sensor import Sensor, encode, expose
    from duck_protection.simulation.town import BUMPER_M
    from duck_protection.simulation.towns import town_named

    town = town_named("l_loop")
    path, scene, eye, noise = town.path(), Scene(town, DEMO), Eye(), np.random.default_rng(5)
    starts_m = np.arange(0, path.length_m, 0.05)
    robot = path.pose(next(s for s in starts_m if all(path.curvature(s + gap) == 0 for gap in np.arange(0, 1.2, 0.1))))
    eye.enter(scene)
    for name, ahead_m in (("1_near.jpg", 0.25), ("2_empty.jpg", None), ("3_far.jpg", 0.8)):
        scene.hide_all()
        if ahead_m is not None:
            duck = robot.ahead(BUMPER_M + ahead_m)
            scene.place("duck0", duck.x_m, duck.y_m, 1.0)
        (folder / name).write_bytes(encode(expose(eye.look(robot), Sensor(), noise), 88))
    eye.close()


def wait_for_node(logs: Path, name: str) -> int:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        found = node_pids(logs)
        if name in found:
            return found[name]
        time.sleep(0.2)  # polls for a process; the deadline above decides
    raise AssertionError(f"{name} did not start within 60 s")


def node_pids(logs: Path) -> dict[str, int]:
    """The nodes whose logs lie in this folder, by name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has just ended
            continue
        names = [word.split(":=")[1] for word in words if word.startswith("__name:=")]
        if names and any(word.startswith(f"__log:={logs}") for word in words):
            found[names[0]] = int(folder.name)
    return found


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "localhost"), ({"ROS_IP": "10.1.2.3"}, "10.1.2.3"), ({"ROS_HOSTNAME": "desk.local"}, "desk.local")],
)
def test_the_shells_nodes_are_found_where_the_user_says(given: dict[str, str], told: str) -> None:
    """Under localhost a robot would look for the workstation's verdicts on itself."""
    environment = {name: value for name, value in os.environ.items() if name not in ("ROS_IP", "ROS_HOSTNAME")}
    asked = [str(ROOT / "run"), "shell", "python", "-c", "import rosgraph; print(rosgraph.network.get_host_name())"]
    done = subprocess.run(asked, env={**environment, **given}, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.stdout.split() == [told], done.stderr
