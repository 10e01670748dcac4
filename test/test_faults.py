"""A representative quarter of the fault campaign: what no rostest covers, once each. `./run faults` is the whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

CAMPAIGN = Path(__file__).parent / "faults" / "campaign.py"
SAFETY_CASE = Path(__file__).parents[1] / "docs" / "safety-case.md"
LIMIT_S = 300.0


def listed(*arguments: str) -> List[str]:
    command = [sys.executable, str(CAMPAIGN), "--list", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.splitlines()


@pytest.mark.ros
def test_the_quarter_is_one_and_has_faults_of_every_group() -> None:
    every, quarter = listed(), listed("--quarter")
    assert len(quarter) * 4 >= len(every) >= 40 and len(set(every)) == len(every)
    assert {line[:12] for line in quarter} == {line[:12] for line in every}


@pytest.mark.ros
def test_the_safety_case_says_how_many_run_with_the_tests() -> None:
    lines = listed("--quarter")
    networked = sum(line.startswith("network ") for line in lines)
    words = " ".join(SAFETY_CASE.read_text().split())  # wherever its lines are broken
    said = re.search(r"so do (\d+) faults of .*? \((\d+) fewer where no network", words)
    assert said is not None and said.groups() == (str(len(lines)), str(networked))


@pytest.mark.ros
@pytest.mark.timeout(LIMIT_S + 60)
def test_a_quarter_of_the_faults_stops_the_robot_in_time_and_lets_it_go_on(tmp_path: Path) -> None:
    result = tmp_path / "faults.json"
    command = [sys.executable, str(CAMPAIGN), "--quarter", "--seeds", "1", "--json", str(result)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout
    rows = json.loads(result.read_text())["faults"]
    assert all(row["runs"] == 1 or row["not_tried"] for row in rows), done.stdout
    assert sum(row["runs"] for row in rows) >= 20, done.stdout
    assert all(row["forbidden_motion"] == 0 for row in rows)
