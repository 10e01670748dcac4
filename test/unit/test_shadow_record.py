"""What a shadow saves: how far two replies are apart, and a folder that never takes more than it may."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.verdict import Identity, Reply

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

from duck_protection.nodes.shadow_record import ShadowRecord, parting, plain

WHO = Identity("thing", "1", "none", "scripted")


def reply(*probabilities: float, off_mass: float = 0.0) -> Reply:
    return Reply(probabilities, off_mass, "", WHO)


def test_how_far_two_replies_are_apart() -> None:
    assert parting(reply(0.9, 0.1), reply(0.9, 0.1)).difference == 0
    assert parting(reply(1.0, 0.0), reply(0.0, 1.0)).difference == 1
    near = parting(reply(0.6, 0.4), reply(0.4, 0.6))
    assert not near.same_word and near.difference == pytest.approx(0.2)
    beside = parting(reply(0.9, 0.1), reply(0.9, 0.1, off_mass=0.8))
    assert not beside.same_word and beside.difference == pytest.approx(0.8)  # the second meant none of the choices


shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda raw: [one / sum(raw) for one in raw])


@given(shares, shares, st.floats(0, 1), st.floats(0, 1))
def test_the_difference_is_the_same_from_both_sides_and_between_0_and_1(a: list, b: list, x: float, y: float) -> None:
    one, other = reply(*a, off_mass=x), reply(*b, off_mass=y)
    assert parting(one, other).difference == pytest.approx(parting(other, one).difference)
    assert -1e-9 <= parting(one, other).difference <= 1 + 1e-9


def test_a_folder_that_is_full_stays_as_it_is(tmp_path: Path) -> None:
    record = ShadowRecord(tmp_path, 1500)
    for second in range(5):
        record.write({"stamp_s": float(second), "driver": plain(reply(0.9, 0.1))}, b"x" * 400)
    lines = (tmp_path / "readings.jsonl").read_text().splitlines()
    pictures = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert record.full and len(lines) == 2 and pictures == ["0.000000.jpg", "1.000000.jpg"]
    assert json.loads(lines[1])["driver"]["probabilities"] == [0.9, 0.1]
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 1500


def test_the_limit_holds_for_the_folder_and_not_for_each_start(tmp_path: Path) -> None:
    """Each start of the node began the limit anew: a node that is respawned would have filled the disk."""
    for start in range(4):
        record = ShadowRecord(tmp_path, 1500)
        record.write({"stamp_s": float(start), "driver": plain(reply(0.9, 0.1))}, b"x" * 400)
    assert record.full and len(list((tmp_path / "pictures").iterdir())) == 2
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 1500


def test_agreement_costs_a_line_and_no_picture(tmp_path: Path) -> None:
    ShadowRecord(tmp_path / "made" / "on the way", 10_000).write({"stamp_s": 1.0}, None)
    assert list((tmp_path / "made" / "on the way" / "pictures").iterdir()) == []
