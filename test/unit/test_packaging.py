"""pip installs this repository where there is no catkin: the HTTP server's own Python has none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_CATKIN = """
import runpy, sys
sys.modules["catkin_pkg"] = None
sys.argv = ["setup.py", "--name", "--version"]
runpy.run_path("setup.py", run_name="__main__")
"""


def test_setup_needs_no_catkin() -> None:
    """It imported catkin_pkg at once, so pip install ended with ModuleNotFoundError in every plain environment."""
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_CATKIN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["duck_protection", "0.1.0"]
