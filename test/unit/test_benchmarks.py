"""What benchmarks share and decide by themselves; measuring is theirs alone and is asserted nowhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from duck_protection.verdict import Identity, Reply

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import comparison  # noqa: E402
import gpu  # noqa: E402


def test_a_comparison_that_fails_reads_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    """There are no labels, so ./run compare fails; the earlier run's files would have become today's result."""
    measure = {"name": "verdict_p95_ms", "a": {"value": 1.0}, "b": {"value": 2.0}}
    (tmp_path / "decision.json").write_text(json.dumps({"answer": "migrate"}))
    (tmp_path / "bench.json").write_text(json.dumps({"measures": [measure], "sides": []}))
    with pytest.raises(SystemExit, match="compare failed, nothing read"):
        comparison.against_ours(tmp_path, ["--data", str(tmp_path)])


def test_a_shortcut_that_turns_stop_into_slow_is_noticed() -> None:
    """Only CLEAR against not CLEAR was compared: "Stop" read as "Slow" counted as the same level."""
    stop, slow, clear = (Reply(said, 0.0, "", Identity("m", "r", "d", "b"))
                         for said in ((0.1, 0.2, 0.7), (0.1, 0.7, 0.2), (0.8, 0.1, 0.1)))  # fmt: skip
    assert gpu.likeliest([clear, slow, stop]) == [0, 1, 2]
    assert gpu.likeliest([stop]) != gpu.likeliest([slow])
