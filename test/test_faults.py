"""A representative quarter of the fault campaign: what no rostest covers, once each. `./run faults` is the whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parent / "faults" / "campaign.py"
LIMIT_S = 300.0


@pytest.mark.ros
@pytest.mark.timeout(LIMIT_S + 60)
def test_a_quarter_of_the_faults_stops_the_robot_in_time_and_lets_it_go_on(tmp_path: Path) -> None:
    result = tmp_path / "faults.json"
    command = [sys.executable, str(CAMPAIGN), "--quarter", "--seeds", "1", "--json", str(result)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout
    rows = json.loads(result.read_text())["faults"]
    assert sum(row["runs"] for row in rows) >= 14, done.stdout
    assert all(row["forbidden_motion"] == 0 for row in rows)
