"""What the campaign tells about a broken promise: everything near the moment, in order, and who it was."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from account import account
from ledger import Command, Ledger, Picture, Window, Word

WALL_AHEAD_S = 1000.0


def test_the_account_has_the_guards_words_the_witnesss_the_wheels_and_the_log_in_order(tmp_path: Path) -> None:
    log = tmp_path / "robot.txt"
    log.write_text("[INFO] [1012.437500]: CLEAR (clear)\nno log line\n[WARN] [1099.0]: much later\n")
    ledger = Ledger(pictures=[Picture(12.3, 123, True), Picture(12.35, 124, False)])
    ledger.words += [Word(5.0, 1, 1), Word(12.4, 1, 123), Word(12.41, 0, 7, "late: too old")]
    ledger.own_words.append(Word(12.6, 3, 123, "duck: ahead"))
    ledger.commands += [Command(12.0, False), Command(12.45, True), Command(12.5, True)]
    lines = account(ledger, Window(10.0, 12.0), 12.5, log, WALL_AHEAD_S)
    assert [" ".join(line.split()) for line in lines] == [
        "+2.000 s wheels stand",
        "+2.350 s camera a bent picture",
        "+2.400 s guard hears CLEAR of a picture 0.100 s old",
        "+2.410 s guard hears UNKNOWN of no picture (late: too old)",
        "+2.438 s robot's log CLEAR (clear)",
        "+2.450 s wheels turn",
        "+2.600 s witness hears STOP of a picture 0.300 s old (duck: ahead)",
    ]


def test_an_account_needs_no_log_and_nothing_seen(tmp_path: Path) -> None:
    assert account(Ledger(), Window(10.0, 12.0), 12.5, tmp_path / "none.txt", 0.0) == []
