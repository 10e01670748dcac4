"""What benchmarks share and decide by themselves; measuring is theirs alone and is asserted nowhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from duck_protection.frames import decode
from duck_protection.question import questions_from
from duck_protection.recording.results import envelope
from duck_protection.verdict import Identity, Reply

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import comparison  # noqa: E402
import gpu  # noqa: E402
import pictures  # noqa: E402
import showing  # noqa: E402


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


def test_every_picture_is_another_one_of_a_robots_size() -> None:
    made = pictures.noisy(1, 5)
    assert made == pictures.noisy(1, 5) and len({*made, *pictures.noisy(2, 5)}) == 10
    assert all(decode(one).shape == (480, 640, 3) for one in made)
    assert all(abs(len(one) - 98_000) < 9_800 for one in made)
    assert abs(len(pictures.noisy(1, 1, 62_000)[0]) - 62_000) < 6_200


def test_what_is_asked_is_what_the_robot_drives_by() -> None:
    assert questions_from(yaml.safe_load((ROOT / "config" / "questions.yaml").read_text()))["road"] == pictures.ROAD
    assert gpu.SECOND.choices == pictures.ROAD.choices and gpu.SECOND.prompt != pictures.ROAD.prompt


def test_what_is_told_is_also_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = envelope("some/1", p50_ms=2.5)
    showing.tell(result, showing.heading(result), tmp_path / "deep" / "some.json")
    said = capsys.readouterr().out
    assert said.startswith("some/1 at ") and f"{result['host']['cores']} cores" in said and result["date"] in said
    assert json.loads((tmp_path / "deep" / "some.json").read_text()) == result
    showing.tell(result, "nothing is written", None)
