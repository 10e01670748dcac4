"""Runs every test/rostest/*.test with the real nodes. `./run test` builds the package and provides the environment.

catkin's own runners say success when a script ran no test at all; here a run counts only with rc 0 and n > 0.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "test" / "rostest").glob("*.test"))
LIMIT_S = 300.0  # a hung master or node; each .test has its own, shorter limit


@pytest.mark.ros
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rostest(file: Path, tmp_path: Path) -> None:
    if shutil.which("rostest") is None or "ROS_PACKAGE_PATH" not in os.environ:
        pytest.fail("no ROS environment: start the tests with ./run test, or leave them out with -m 'not ros'")
    results, log = tmp_path / "results", tmp_path / "log"
    log.mkdir()
    command = ["rostest", "--results-base-dir", str(results), "duck_protection", file.name]
    environment = {**os.environ, "ROS_LOG_DIR": str(log), "ROS_HOSTNAME": "localhost"}
    environment.pop("ROS_MASTER_URI", None)
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(ROOT)
    )
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.terminate()  # roslaunch takes its nodes and its master with it
        output, _ = process.communicate(timeout=30)
        pytest.fail(f"{file.name} took longer than {LIMIT_S:.0f} s\n{_tail(output)}")
    cases, faults, notes = _read(results)
    print("\n".join(notes))  # pytest -rP shows them
    story = "\n".join([*faults, f"--- {' '.join(command)}: rc {process.returncode}", _tail(output), _node_logs(log)])
    assert process.returncode == 0, story
    assert not faults, story
    assert cases, f"{file.name} ran no test at all\n{story}"


@pytest.mark.ros
def test_every_rostest_is_registered_with_catkin() -> None:
    """A .test file that CMake does not know is never run by anybody who uses catkin."""
    registered = (ROOT / ".ws" / "build" / "duck_protection" / "CTestTestfile.cmake").read_text()
    assert [file.name for file in FILES if f"test/rostest/{file.name}" not in registered] == []


def _read(results: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of the cases that the scripts reported, the text of each failure or error, and what was measured."""
    cases, faults, notes = [], [], []
    for report in results.rglob("rosunit-*.xml"):  # rostest-*.xml counts the same cases once more
        root = ElementTree.parse(report).getroot()
        said = "\n".join(part.text or "" for part in root.iter("system-out"))
        notes += [line for line in said.splitlines() if line.startswith("measured:") or " is void" in line]
        for case in root.iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            cases.append(name)
            faults += [f"{name}: {fault.text}" for kind in ("failure", "error") for fault in case.iter(kind)]
    return cases, faults, notes


def _tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _node_logs(folder: Path) -> str:
    """The end of each node's log, where a node that died says why, without rospy's book-keeping."""
    story = []
    for path in sorted(folder.rglob("*.log")):
        if path.name.startswith(("roslaunch", "rostest", "master", "rosout")):
            continue
        lines = [line for line in path.read_text(errors="replace").splitlines() if "[rospy." not in line]
        story.append(f"--- {path.name}\n" + "\n".join(lines[-15:]))
    return "\n".join(story)
