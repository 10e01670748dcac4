"""What was in force, which standstill was a stop and for what: stories of short drives."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from duck_protection.recording import timeline
from duck_protection.recording.drive import MAX_AGE_S, Drive, Heard, Moment
from duck_protection.recording.report import headline, troubles_of
from duck_protection.recording.summary import standstills, summarise
from duck_protection.verdict import Level

START_S = 1.7e9
STEP_S = 0.0625  # exact in binary, so that stamps compare without rounding
C, S, X, U = Level.CLEAR, Level.SLOW, Level.STOP, Level.UNKNOWN


def judged(stamp_s: float, level: Level, delay_s: float = 0.03125) -> Heard:
    return Heard(stamp_s + delay_s, stamp_s, level, level.name, ("Clear", "Slow", "Stop"), (0.2, 0.3, 0.5))


def drive(
    speeds: Sequence[float], true: Sequence[Level], said: Sequence[Optional[Level]], hits: Sequence[int] = ()
) -> Drive:
    """A drive in steps of STEP_S; said None: no verdict about that frame."""
    log, travelled_m = Drive(), 0.0
    for number, (speed_mps, level, words) in enumerate(zip(speeds, true, said)):
        stamp_s = START_S + number * STEP_S
        travelled_m += speed_mps * STEP_S
        near_m = 0.3 if level is X else 0.8 if level is S else None
        hit = hits[number] if hits else 0
        log.see(Moment(stamp_s, level, near_m, speed_mps, speed_mps, travelled_m, 1, hit, 0))
        if words is not None:
            log.hear(judged(stamp_s, words))
    return log


DRIVE_THEN_REST = [0.2] * 16 + [0.0] * 8


def test_nothing_heard_is_unknown() -> None:
    assert Drive().in_force(START_S).level is U


@given(age_s=st.floats(0.0, 2.0), level=st.sampled_from([C, S, X, U]))
def test_what_permits_motion_is_in_force_only_while_fresh(age_s: float, level: Level) -> None:
    log = Drive()
    log.hear(judged(START_S, level, 0.0))
    at_s = START_S + age_s
    permits = log.in_force(at_s).level in (C, S)
    assert permits == (level in (C, S) and at_s - START_S < MAX_AGE_S)


def test_the_verdict_in_force_is_the_last_one_heard_by_then() -> None:
    log = Drive()
    log.hear(judged(START_S, C, 0.1))
    log.hear(judged(START_S + 0.05, X, 0.1))
    assert log.in_force(START_S + 0.09).level is U
    assert log.in_force(START_S + 0.12).level is C
    assert log.in_force(START_S + 0.16).level is X


def test_a_stop_for_a_duck_is_a_true_stop() -> None:
    log = drive(DRIVE_THEN_REST, [S] * 14 + [X] * 10, [S] * 14 + [X] * 10)
    summary = summarise(log)
    assert (summary.stops, summary.false_stops, summary.halts) == (1, 0, 0)
    assert [still.duck for still in standstills(log)] == [True]


def test_a_stop_before_nothing_is_a_false_stop() -> None:
    summary = summarise(drive(DRIVE_THEN_REST, [C] * 24, [C] * 14 + [X] * 10))
    assert (summary.stops, summary.false_stops, summary.halts) == (1, 1, 0)


def test_silence_brings_a_halt_and_no_stop() -> None:
    summary = summarise(drive(DRIVE_THEN_REST, [C] * 24, [C] * 10 + [None] * 14))
    assert (summary.stops, summary.false_stops, summary.halts) == (0, 0, 1)


def test_creeping_on_a_little_is_not_another_stop() -> None:
    speeds = DRIVE_THEN_REST + [0.05] * 4 + [0.0] * 4
    assert summarise(drive(speeds, [X] * 32, [X] * 32)).stops == 1


def test_a_robot_that_never_moved_did_not_stop() -> None:
    assert standstills(drive([0.0] * 30, [X] * 30, [X] * 30)) == []


def test_numbers_come_from_distinct_frames() -> None:
    log = drive([0.2] * 17, [C] * 17, [C] * 17)
    log.hear(Heard(START_S + 2, START_S, U, "old: repeated by the tick"))  # nothing read: no judgement
    log.hear(judged(START_S, C, 2.0))  # the first frame once more
    summary = summarise(log)
    assert (summary.frames_judged, summary.seconds) == (17, 1.0)
    assert summary.verdicts_per_s == 17.0
    assert summary.frame_to_verdict_p50_ms == summary.frame_to_verdict_p95_ms == pytest.approx(31.2, abs=0.1)
    assert summary.metres == pytest.approx(0.2)


def test_a_stop_that_was_called_clear_is_counted() -> None:
    summary = summarise(drive([0.2] * 4, [X, X, C, C], [X, C, C, C]))
    assert (summary.stop_judged_clear, summary.levels_right) == (1, 0.75)


def test_a_hit_makes_the_drive_a_failure() -> None:
    summary = summarise(drive([0.2] * 24, [X] * 24, [C] * 24, hits=[0] * 20 + [1] * 4))
    assert summary.ducks_hit == 1
    assert len(troubles_of(summary)) == 1 and headline(summary).startswith("1 duck hit")


def test_a_drive_without_a_judged_frame_or_without_a_metre_is_a_failure() -> None:
    assert troubles_of(summarise(drive([0.2] * 4, [C] * 4, [None] * 4))) == ["not a single frame was judged"]
    assert troubles_of(summarise(Drive())) == ["not a single frame was judged"]
    assert "did not drive" in troubles_of(summarise(drive([0.0] * 30, [C] * 30, [C] * 30)))[0]
    assert troubles_of(summarise(drive([0.2] * 30, [C] * 30, [C] * 30))) == []


@pytest.mark.parametrize("log", [Drive(), drive(DRIVE_THEN_REST, [S] * 14 + [X] * 10, [S] * 14 + [X] * 10)])
def test_the_timeline_is_a_picture_of_the_promised_size(log: Drive, tmp_path: Path) -> None:
    timeline.write(tmp_path / "t.png", log, summarise(log), "a test")
    pixels = np.asarray(Image.open(tmp_path / "t.png").convert("RGB"))
    assert pixels.shape == (1020, 1500, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_the_timeline_shows_the_difference_of_two_drives(tmp_path: Path) -> None:
    logs = [drive(DRIVE_THEN_REST, [X] * 24, [said] * 24) for said in (X, C)]
    pictures = []
    for number, log in enumerate(logs):
        timeline.write(tmp_path / f"{number}.png", log, summarise(log))
        pictures.append(np.asarray(Image.open(tmp_path / f"{number}.png").convert("RGB")))
    assert np.count_nonzero((pictures[0][200:380] != pictures[1][200:380]).any(axis=2)) > 10_000
