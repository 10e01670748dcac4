"""The campaign's own judgement, without ROS: what is a stop, a recovery, a forbidden motion?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from ledger import Command, Ledger, Picture, Window, Word, forbidden, halted_s, recovery_s, stop_s

STOP, CLEAR, UNKNOWN = 3, 1, 0
SPAN = Window(10.0, 12.0)
BLOW = Window(10.0, 10.0)


def drive(start_s: float, end_s: float, turning: bool, ledger: Ledger) -> None:
    """Commands at 20 Hz."""
    for tick in range(int((end_s - start_s) * 20 + 0.5)):
        ledger.commands.append(Command(start_s + tick / 20, turning))


def see(start_s: float, end_s: float, level: int, ledger: Ledger, honest: bool = True, age_s: float = 0.02) -> None:
    """Pictures at 20 Hz and what is said about each, age_s later."""
    for tick in range(int((end_s - start_s) * 20 + 0.5)):
        sent_s = start_s + tick / 20
        ledger.pictures.append(Picture(sent_s, int(sent_s * 1e9), honest))
        ledger.words.append(Word(sent_s + age_s, level, int(sent_s * 1e9)))


def story(*parts: tuple) -> Ledger:
    """(start, end, turning) one after the other."""
    ledger = Ledger()
    for start_s, end_s, turning in parts:
        drive(start_s, end_s, turning, ledger)
    return ledger


def test_zero_is_counted_from_the_cause_and_must_last_to_its_end() -> None:
    assert stop_s(story((9, 10.4, True), (10.4, 12.5, False)), SPAN, 0.5) == pytest.approx(0.4)
    flicker = story((9, 10.2, True), (10.2, 10.3, False), (10.3, 10.9, True), (10.9, 12.5, False))
    assert stop_s(flicker, SPAN, 0.5) == pytest.approx(0.9)
    assert stop_s(story((9, 10.2, True), (10.2, 11.5, False), (11.5, 12.5, True)), SPAN, 0.5) is None


def test_commands_that_cease_are_no_zero() -> None:
    assert stop_s(story((9, 10.1, True)), SPAN, 0.5) is None


def test_after_a_blow_the_first_zero_counts() -> None:
    ledger = story((9, 10.2, True), (10.2, 11.5, False), (11.5, 13, True))
    assert stop_s(ledger, BLOW, 0.5) == pytest.approx(0.2)
    assert recovery_s(ledger, BLOW, 0.2) == pytest.approx(1.5)
    assert stop_s(story((9, 10.7, True), (10.7, 11, False)), BLOW, 0.5) is None


def test_recovery_is_steady_driving_after_the_end() -> None:
    ledger = story((9, 10.3, True), (10.3, 13, False), (13, 13.3, True), (13.3, 13.6, False), (13.6, 15, True))
    assert recovery_s(ledger, SPAN, 0.3) == pytest.approx(1.6)
    assert recovery_s(story((9, 10.3, True), (10.3, 14, False)), SPAN, 0.3) is None
    assert recovery_s(story((9, 14, True)), SPAN, None) == 0.0


def test_a_single_zero_is_a_halt() -> None:
    assert halted_s(story((9, 11, True), (11, 11.05, False), (11.05, 14, True)), SPAN) == pytest.approx(11.0)
    assert halted_s(story((9, 14, True)), SPAN) is None


def driven_on(level: int = CLEAR, honest: bool = True, window: Window = SPAN) -> List[str]:
    """Wheels that turn from 9 to 12 s, with good words until the cause and these afterwards."""
    ledger = story((9, 12, True))
    see(9.0, 10.0, CLEAR, ledger)
    see(10.0, 12.0, level, ledger, honest)
    return [motion.why for motion in forbidden(ledger, window)]


def test_driving_on_fresh_honest_clear_is_allowed() -> None:
    assert driven_on() == []


@pytest.mark.parametrize("level", [UNKNOWN, STOP])
def test_driving_after_a_bad_word_is_forbidden(level: int) -> None:
    assert "not heeded" in driven_on(level)[0]


def test_driving_on_what_a_bent_picture_was_called_is_forbidden() -> None:
    assert "s old" in driven_on(honest=False)[0]


def test_driving_on_the_words_of_a_lying_model_is_forbidden() -> None:
    assert driven_on(window=Window(10.0, 12.0, lies=True)) != []


def test_driving_on_silence_is_forbidden_once_the_last_picture_is_old() -> None:
    ledger = story((9, 12, True))
    see(9.0, 10.0, CLEAR, ledger)
    assert forbidden(ledger, SPAN)[0].mono_s == pytest.approx(10.45, abs=0.06)


def test_old_pictures_called_clear_support_nothing() -> None:
    ledger = story((9, 12, True))
    see(8.0, 12.0, CLEAR, ledger, age_s=0.6)
    assert "s old" in forbidden(ledger, SPAN)[0].why


def test_words_about_pictures_that_nobody_took_support_nothing() -> None:
    ledger = story((9, 12, True))
    ledger.words.append(Word(10.0, CLEAR, 123))
    assert "no honest picture" in forbidden(ledger, SPAN)[0].why


def back_after_a_cut(guard_s: float, witness_s: float) -> Ledger:
    """Wheels that turn again at 12.4 s, when each has heard words of CLEAR again from these times on."""
    ledger = story((9, 10.3, True), (10.3, 12.4, False), (12.4, 14, True))
    see(9.0, 14.0, CLEAR, ledger)
    words = list(ledger.words)
    ledger.words[:] = [word for word in words if word.mono_s < 10.0 or word.mono_s > guard_s]
    ledger.own_words[:] = [word for word in words if word.mono_s < 10.0 or word.mono_s > witness_s]
    return ledger


def test_after_a_cut_the_words_that_reached_the_guard_count_and_not_those_that_reached_the_witness() -> None:
    """The witness's own connection came back 0.2 s after the guard had moved, and blamed it for what it had missed."""
    assert forbidden(back_after_a_cut(guard_s=12.0, witness_s=12.6), SPAN) == []
    found = forbidden(back_after_a_cut(guard_s=12.6, witness_s=12.0), SPAN)
    assert min(motion.mono_s for motion in found) == pytest.approx(12.4)


def test_after_a_bad_word_three_good_frames_over_0_3_seconds_are_needed() -> None:
    def left_after(good_s: float) -> List[str]:
        ledger = story((10.0 + good_s, 12, True))
        see(9.0, 10.0, UNKNOWN, ledger)
        see(10.0, 12.0, CLEAR, ledger)
        return [motion.why for motion in forbidden(ledger, SPAN)]

    assert left_after(0.35) == []
    assert "not heeded" in left_after(0.15)[0]
