"""What benchmarks share and decide by themselves; measuring is theirs alone and is asserted nowhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import comparison  # noqa: E402


def test_a_comparison_that_fails_reads_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    """There are no labels, so ./run compare fails; the earlier run's files would have become today's result."""
    measure = {"name": "verdict_p95_ms", "a": {"value": 1.0}, "b": {"value": 2.0}}
    (tmp_path / "decision.json").write_text(json.dumps({"answer": "migrate"}))
    (tmp_path / "bench.json").write_text(json.dumps({"measures": [measure], "sides": []}))
    with pytest.raises(SystemExit, match="compare failed, nothing read"):
        comparison.against_ours(tmp_path, ["--data", str(tmp_path)])
