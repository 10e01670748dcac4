"""Two Ray Serve replicas of the duckling, one killed with SIGKILL under load: RemoteVlm's callers see no failure.

Needs ray[serve], which CI does not install: 0.5 GB, and a minute for one test. One command runs it:
    pip install 'ray[serve]==2.60.0' && python -m pytest test/server/test_ray.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 280.0


@pytest.mark.timeout(LIMIT_S + 20)
@pytest.mark.skipif(find_spec("ray") is None, reason="no Ray half: pip install 'ray[serve]==2.60.0'")
def test_a_killed_replica_costs_no_caller_an_answer(tmp_path: Path) -> None:
    results = tmp_path / "replicas.json"
    command = [sys.executable, "benchmarks/replicas.py", "--seconds", "6", "--json", str(results)]
    paths = os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0"},
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    rows = json.loads(results.read_text())
    assert rows["killed_through_remote_vlm"]["asked"] > 20 and rows["killed_through_remote_vlm"]["failed"] == 0, rows
    assert rows["ray_one_at_a_time"]["failed"] == rows["uvicorn_one_at_a_time"]["failed"] == 0, rows
    assert rows["replaced"] == 2, "Serve has put new replicas in the place of both that were killed"
