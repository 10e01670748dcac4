"""The container files cannot be built here. What can be known without building is checked: linter, sources, names."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("Dockerfile", "docker/workstation.Dockerfile")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: ./run setup")
    done = subprocess.run([linter, str(ROOT / name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_there_and_says_that_it_was_not_built(name: str) -> None:
    text = (ROOT / name).read_text()
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    assert "NOT BUILT BY US YET" in text


def test_the_templates_files_are_there() -> None:
    kinds = dict(line.split("=") for line in (ROOT / ".dtproject").read_text().split())
    assert (kinds["TYPE"], kinds["TYPE_VERSION"]) == ("template-ros", "3")
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert kinds["VERSION"] == package.findtext("version")


def test_the_robot_installs_what_package_xml_asks_for() -> None:
    """Of python3-*; ROS packages come with dt-ros-commons, or are named."""
    wanted = {depend.text for depend in ElementTree.parse(ROOT / "package.xml").getroot().findall("exec_depend")}
    named = {line for line in (ROOT / "dependencies-apt.txt").read_text().split("\n") if not line.startswith("#")}
    assert {name for name in wanted if name and name.startswith("python3-")} <= named
    assert "ros-noetic-diagnostic-updater" in named


def test_the_launcher_starts_a_launch_file_that_takes_its_arguments() -> None:
    script = ROOT / "launchers" / "default.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    call = re.search(r"roslaunch --wait duck_protection (\S+) (.+)", script.read_text())
    assert call is not None
    root = ElementTree.parse(ROOT / "launch" / call.group(1)).getroot()
    assert set(re.findall(r"(\w+):=", call.group(2))) <= {arg.get("name") for arg in root.findall("arg")}


def test_the_robot_leaves_the_model_at_home_and_keeps_what_catkin_needs() -> None:
    left = (ROOT / "Dockerfile.dockerignore").read_text().split()
    assert {"models", "test", ".venv"} <= set(left)
    assert not {"msg", "srv", "src", "config", "launch", "cmake", "scripts", "setup.py", "package.xml"} & set(left)
