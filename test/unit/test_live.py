"""The live line fits, says the level in words, and is plain where there is no terminal."""

from __future__ import annotations

import io

import pytest

from duck_protection.recording.live import COLUMNS, PLAIN_EVERY_S, LiveLine, Status, line_of, minutes
from duck_protection.verdict import Level


def status(level: Level) -> Status:
    return Status(0.4, "0:36 left", level, 0.98, 0.084, 19.8, "12 ducks met, 0 hit")


@pytest.mark.parametrize("level", list(Level))
def test_the_line_fits_and_names_the_level(level: Level) -> None:
    line = line_of(status(level))
    assert level.name in line.plain and "12 ducks met, 0 hit" in line.plain
    assert line.cell_len <= COLUMNS


def test_parts_stay_in_their_places() -> None:
    calm = line_of(status(Level.CLEAR)).plain
    blind = line_of(Status(0.4, "0:36 left", Level.UNKNOWN, None, None, 0.0, "12 ducks met, 0 hit")).plain
    assert calm.index("12 ducks") == blind.index("12 ducks")


def test_a_file_gets_a_plain_line_every_few_seconds() -> None:
    out = io.StringIO()
    with LiveLine(out) as live:
        for waited_s in range(4):
            live.wait("loading the model", waited_s)
        for tenth in range(int(20 * PLAIN_EVERY_S) + 1):
            live.show(status(Level.SLOW), 1000.0 + tenth / 10)
    lines = out.getvalue().splitlines()
    assert lines[0] == "loading the model"
    assert len(lines) == 1 + 3
    assert "\x1b" not in out.getvalue() and all(len(line) <= COLUMNS for line in lines)


def test_minutes() -> None:
    assert [minutes(seconds) for seconds in (-3, 0, 5.4, 65, 600)] == ["0:00", "0:00", "0:05", "1:05", "10:00"]
