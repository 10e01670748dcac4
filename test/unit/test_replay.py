"""Which pictures a folder has, and the table of what was said about them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from duck_protection.recording import run_demo, run_replay
from duck_protection.recording.replay import Line, VerdictTable, pictures_in, report
from duck_protection.verdict import Level

WORDS = ("Clear", "Slow", "Stop")
STOP = Line("a.jpg", 1.7e9, Level.STOP, (0.01, 0.04, 0.95), 0.002, 'stop: "p", 0.95', 80.0, 2.0, 0.5, 30.0, 81.5)
LATE = Line("b.jpg", 1.7e9 + 1, Level.UNKNOWN, (), None, "silence: no verdict in 10 s", None, None, None, None, None)


def test_a_folders_pictures_come_by_name_with_their_bytes(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.ppm", "notes.txt", "d.bmp"):
        (tmp_path / name).write_bytes(name.encode())
    source = pictures_in(tmp_path)
    pictures = list(source.pictures)
    assert source.count == 3
    assert [picture.name for picture in pictures] == ["a.png", "b.JPG", "c.ppm"]
    assert [picture.kind for picture in pictures] == ["png", "jpeg", "ppm"]
    assert pictures[1].data == b"b.JPG"


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture"):
        pictures_in(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        pictures_in(tmp_path / "missing")


def test_the_table_reads_back_what_was_said(tmp_path: Path) -> None:
    with VerdictTable(tmp_path / "t.csv", WORDS) as table:
        table.add(STOP)
        table.add(LATE)
    with (tmp_path / "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["picture"], first["level"], first["reason"]) == ("a.jpg", "STOP", STOP.reason)
    assert [float(first[f"p_{word}"]) for word in WORDS] == [0.01, 0.04, 0.95]
    assert (float(first["stamp_s"]), float(first["off_mass"]), float(first["infer_ms"])) == (1.7e9, 0.002, 30.0)
    assert second["level"] == "UNKNOWN"
    assert second["p_Stop"] == second["off_mass"] == second["age_ms"] == "", "nothing read is no number"


def test_each_line_is_on_disk_before_the_next(tmp_path: Path) -> None:
    """A replay that is killed keeps what it has."""
    with VerdictTable(tmp_path / "t.csv", WORDS) as table:
        table.add(STOP)
        assert "a.jpg" in (tmp_path / "t.csv").read_text()


def test_the_summary_counts_levels_and_names_reasons() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(report([STOP, STOP, LATE], 4.0, "replay.csv"))
    text = out.getvalue()
    assert "3 pictures, 2 judged in 4 s" in text
    assert "silence (1)" in text
    counts = dict(line.split()[:2] for line in text.splitlines() if line.rstrip().endswith("%"))
    assert counts == {"CLEAR": "0", "SLOW": "0", "STOP": "2", "UNKNOWN": "1"}


def test_commands_refuse_what_cannot_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("- {probabilities: {Clear: 1.0}}")
    bad = [
        (run_demo.options_of, ["--seconds", "0", "--script", str(script)], "--seconds"),
        (run_demo.options_of, ["--model", str(tmp_path)], "config.json"),
        (run_replay.options_of, [str(tmp_path / "missing"), "--script", str(script)], "does not exist"),
        (run_replay.options_of, [str(tmp_path), "--script", str(tmp_path / "none.yaml")], "does not exist"),
    ]
    for options_of, arguments, complaint in bad:
        with pytest.raises(SystemExit) as ended:
            options_of(arguments)
        assert ended.value.code == 2 and complaint in capsys.readouterr().err


def test_the_demo_passes_on_what_was_asked(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("- {probabilities: {Clear: 1.0}}")
    options = run_demo.options_of(["--seed", "7", "--no-protection", "--script", str(script), "--out", str(tmp_path)])
    plan = run_demo.plan_of(options, "a title")
    assert plan.arguments["seed"] == 7 and plan.arguments["protection"] is False and plan.arguments["record"] is False
    assert plan.arguments["script"] == str(script) and plan.arguments["backend"] == "scripted"
    assert plan.parameters["out"] == str(tmp_path) and plan.logs == tmp_path / "log"


def test_the_numbers_may_be_wanted_where_they_are_already(tmp_path: Path) -> None:
    numbers, elsewhere = tmp_path / "demo.json", tmp_path / "new" / "copy.json"
    run_demo.copy_of(numbers, elsewhere)
    assert not elsewhere.exists()
    numbers.write_text("{}")
    for wanted in (numbers, elsewhere):
        run_demo.copy_of(numbers, wanted)
    assert numbers.read_text() == elsewhere.read_text() == "{}"
