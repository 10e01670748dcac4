"""The documents do not lie about what can be checked: links, commands, launch arguments, generated tables."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Set, Tuple
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import interfaces  # noqa: E402

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> Set[str]:
    """Of the headings, as a web view makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), f"{target} in {page.name}"
        assert not anchor or anchor in anchors(place), f"{target} in {page.name}"


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [page.name for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in index]
    assert missing == ["README.md"]


def commands() -> Set[str]:
    """What `./run` knows, from its case list."""
    body = (ROOT / "run").read_text().split("case $command in")[1]
    return {word for line in re.findall(r"^  ([\w| -]+)\)", body, re.MULTILINE) for word in line.split(" | ")}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_of_run_exists(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"\./run ([a-z][a-z-]*)", text):
        assert name in commands(), f"./run {name} in {page.name}"
    for name in re.findall(r"\./run bench ([a-z]+)", text):
        assert name in benchmarks(), f"./run bench {name} in {page.name}"


def benchmarks() -> Set[str]:
    """Programmes of their own among the files; link_robot is a part of link."""
    files = (ROOT / "benchmarks").glob("*.py")
    return {file.stem for file in files if 'if __name__ == "__main__"' in file.read_text()} - {"link_robot"}


@pytest.mark.parametrize("given", [[], ["shapes"]], ids=["nothing", "a helper"])
def test_bench_offers_every_benchmark_and_nothing_else(given: List[str]) -> None:
    """It offered helper modules, which do nothing when they are run."""
    done = subprocess.run([str(ROOT / "run"), "bench", *given], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and set(done.stderr.split("which one?")[1].split()) == benchmarks()


def test_the_readme_names_every_benchmark() -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `./run bench ")]
    first = [row.split(" | ")[0] for row in rows]
    assert {name for cell in first for name in re.findall(r"`(?:\./run bench )?([a-z]+)`", cell)} == benchmarks()


def launches(text: str) -> Iterator[Tuple[str, Set[str]]]:
    """(launch file, arguments) of each call; a call may go on after a backslash."""
    for call in re.findall(r"roslaunch duck_protection (\S+\.launch)((?:[^\n`]|\\\n)*)", text):
        yield call[0], set(re.findall(r"(\w+):=", call[1]))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_launch_file_exists_and_takes_what_it_is_given(page: Path) -> None:
    for name, given in launches(page.read_text()):
        root = ElementTree.parse(ROOT / "launch" / name).getroot()
        assert given <= {arg.get("name") for arg in root.findall("arg")}, f"{name} in {page.name}"


def test_the_interface_tables_are_what_the_files_say() -> None:
    assert interfaces.TARGET.read_text() == interfaces.page(), "run ./run docs"


def test_the_tables_hold_every_field_key_and_argument() -> None:
    """Counted another way than the generator does."""
    page = interfaces.page()
    for file in [*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")]:
        for line in file.read_text().splitlines():
            words = line.split("#")[0].split()
            assert len(words) != 2 or f"| `{words[1]}` | `{words[0]}` |" in page, line
    for file in (ROOT / "config").glob("*_node.yaml"):
        for key in re.findall(r"^(\w+): *[^\s#]", file.read_text(), re.MULTILINE):
            assert f"| `{key}` |" in page, f"{key} of {file.name}"


def test_the_help_names_every_command() -> None:
    told = subprocess.run([str(ROOT / "run"), "help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    named = {word for words in re.findall(r"^\./run ([a-z|-]+)", told, re.MULTILINE) for word in words.split("|")}
    assert named == commands() - {"-h", "--help", "help"}
