"""Results are whole, strict JSON, and say where they come from."""
from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from duck_protection.recording.results import envelope, write_json


def test_an_envelope_says_what_where_and_when_and_keeps_the_keys() -> None:
    result = envelope("latency/1", overhead_p50_ms=1.5)
    assert list(result) == ["schema", "commit", "host", "date", "overhead_p50_ms"]
    assert result["schema"] == "latency/1"
    assert result["host"]["cores"] >= 1
    assert result["date"].endswith("+00:00")


def test_what_is_written_reads_back_and_no_number_is_null(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_json(path, {"a": math.nan, "b": [1, math.inf], "c": np.float32(0.5), "d": {"e": "text"}})
    assert json.loads(path.read_text()) == {"a": None, "b": [1, None], "c": 0.5, "d": {"e": "text"}}
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
