"""The arrows of the house, read from the files: who may import whom, and what the robot's Python can run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator, Set, Tuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "duck_protection"
CORE = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
ROOMS = {"vlm", "nodes", "dashboard", "simulation", "episodes", "learning", "recording", "server", "comparison"}
HEAVY_ROOMS = ("duck_protection.simulation", "duck_protection.recording", "duck_protection.dashboard")
WORKSTATION = {"sim_node", "recorder_node", "replay_node", "dashboard_node"}
WORKSTATION |= {"ears", "black_box", "event_film", "robot_desk", "inspect_bag"}  # what dashboard_node is made of
HEAVY = {"torch", "transformers", "timm", "torchvision"}
STANDARD_CORE = {"numpy", "PIL"}


def imports(path: Path) -> Iterator[Tuple[str, int]]:
    """Every imported module with its column: column 0 is imported when the file is."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield name, node.col_offset


def rooms_of(path: Path) -> Set[str]:
    parts = [name.split(".") for name, _ in imports(path)]
    return {part[1] for part in parts if part[0] == "duck_protection" and len(part) > 1}


def files(room: str) -> list:
    return sorted((PACKAGE / room).glob("**/*.py"))


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_imports_only_itself_numpy_and_pillow(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    assert rooms_of(path) <= CORE
    foreign = {module.split(".")[0] for module, _ in imports(path)} - {"duck_protection", "__future__"}
    known = {"dataclasses", "typing", "enum", "math", "io", "hashlib", "warnings", "collections", "threading"}
    assert foreign <= known | STANDARD_CORE


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_reads_no_clock_and_no_file(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "exec", "eval"}


ALLOWED = {
    "nodes": CORE | {"nodes", "msg", "srv", "vlm", "simulation", "recording", "dashboard", "server"},
    "vlm": CORE | {"vlm"},
    "simulation": CORE | {"simulation"},
    "episodes": CORE | {"episodes", "vlm", "simulation", "recording"},
    "recording": CORE | {"recording"},
    "dashboard": CORE | {"dashboard", "recording", "server"},
    "learning": CORE | {"learning", "vlm", "simulation", "recording"},
    "server": CORE | {"server", "vlm"},
    "comparison": CORE | {"comparison", "vlm", "learning", "recording"},
}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_rooms_keep_to_their_arrows(room: str) -> None:
    for path in files(room):
        assert rooms_of(path) <= ALLOWED[room], path


def test_every_room_has_its_arrows_written_down() -> None:
    present = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert present <= set(ALLOWED) == ROOMS


def test_nodes_never_import_torch() -> None:
    names = ("base", "scripted", "remote", "openai_words", "bounded_http", "batching", "turns", "waiting")
    for path in [*files("nodes"), *(PACKAGE / "vlm" / f"{name}.py" for name in names)]:
        assert not {name.split(".")[0] for name, _ in imports(path)} & HEAVY, path


def test_nodes_import_other_rooms_only_where_they_need_them() -> None:
    """At the top of a file only light modules: a robot without MuJoCo, PyAV or torch must start its nodes."""
    for path in files("nodes"):
        for name, column in imports(path):
            if column == 0 and name.startswith(HEAVY_ROOMS):
                assert path.stem in WORKSTATION, (path, name)


def test_nodes_know_the_http_server_only_behind_vlm_nodes_second_door() -> None:
    """And there only when the door is wanted: a robot's own Python has none of the server's packages."""
    for path in files("nodes"):
        at = [column for name, column in imports(path) if name.startswith("duck_protection.server")]
        assert not at or (path.stem == "http_door" and min(at) > 0), path


def test_every_file_says_what_it_is() -> None:
    for path in PACKAGE.glob("**/*.py"):
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), path
        if path.name != "__init__.py":
            assert "from __future__ import annotations" in text, path
