"""`./run mutation`: would the tests of the pure core notice a changed line? (mutmut)

Answers: how many small changes of the core do its own unit tests kill? Exit status 0: at least GOAL of them, and every
survivor is explained in docs/mutants.md. Works on a copy in .build/mutation_tree, in a Python of its own.
"""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Set

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".build" / "mutation_tree"
GOAL = 0.95
PACKAGE = Path("src/duck_protection")
CONFIG = """[tool.mutmut]
source_paths = ["src/duck_protection"]
pytest_add_cli_args_test_selection = ["test/unit"]
pytest_add_cli_args = ["-q", "-p", "no:cacheprovider"]
also_copy = ["config"]

[tool.pytest.ini_options]
timeout = 120
"""


def core() -> List[str]:
    """The names of the pure core's modules."""
    return sorted(path.stem for path in (ROOT / PACKAGE).glob("*.py"))


def copied() -> None:
    """The core and its own tests, alone: no other test may take the credit, or the time."""
    shutil.rmtree(TREE, ignore_errors=True)
    (TREE / PACKAGE).mkdir(parents=True)
    (TREE / "test" / "unit").mkdir(parents=True)
    shutil.copytree(ROOT / "config", TREE / "config")
    for name in core():
        shutil.copy(ROOT / PACKAGE / f"{name}.py", TREE / PACKAGE)
        test = ROOT / "test" / "unit" / f"test_{name}.py"
        if test.exists():
            shutil.copy(test, TREE / "test" / "unit")
    shutil.copy(ROOT / "test" / "unit" / "conftest.py", TREE / "test" / "unit")
    (TREE / "pyproject.toml").write_text(CONFIG, encoding="utf-8")


def results() -> dict[str, str]:
    """What became of each mutant, by name."""
    told = mutmut("results", "--all", "true").stdout
    return dict(re.findall(r"^\s*(\S+__mutmut_\d+): (.+?)\s*$", told, re.MULTILINE))


def mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    """mutmut in the copy; its output as text."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    return subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def explained() -> Set[str]:
    """The survivors that docs/mutants.md explains."""
    return set(re.findall(r"`(\S+__mutmut_\d+)`", (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")))


def main() -> int:
    """The command."""
    copied()
    done = mutmut("run")
    found = results()
    if not found:
        print(done.stdout[-3000:], "mutmut did not run", sep="\n")
        return 2
    killed = [name for name, fate in found.items() if fate in ("killed", "timeout")]
    left = sorted(set(found) - set(killed))
    new = [name for name in left if name not in explained()]
    for name in left:
        print(f"{found[name]:<12} {name}{'  NOT EXPLAINED' if name in new else ''}")
    score = len(killed) / len(found)
    good = score >= GOAL and not new
    print(f"{'✔' if good else '✘'} {len(killed)} of {len(found)} mutants killed, {score:.1%}; {len(new)} not explained")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
