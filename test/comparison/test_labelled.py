"""Labelled folders: two parts that share no place, from three kinds of labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison_kit import folder_of, levelled

from duck_protection.comparison.labelled import LabelsError, load_labelled
from duck_protection.verdict import Level


def test_no_place_is_on_both_sides_and_nothing_is_lost(tmp_path: Path) -> None:
    found = load_labelled(folder_of(tmp_path, levelled(24)))
    chosen, reported = (set(found.groups(part)) for part in (found.choosing, found.reporting))
    assert not chosen & reported
    assert sorted(found.choosing + found.reporting) == list(range(24))
    assert [found.frames.level(number) for number in (0, 1, 2)] == [Level.CLEAR, Level.SLOW, Level.STOP]
    assert found.about()["levels"] == {"CLEAR": 4, "SLOW": 4, "STOP": 4}


def test_fewer_frames_are_taken_evenly(tmp_path: Path) -> None:
    found = load_labelled(folder_of(tmp_path, levelled(60)), most=6)
    assert len(found.choosing) == len(found.reporting) == 6
    assert len(set(found.groups(found.reporting))) == 6


def test_photographs_tell_danger_from_none_and_the_unclear_ones_are_left_out(tmp_path: Path) -> None:
    labels = ["own_lane", "off_road", "none", "unclear", None] * 4
    lines = [
        {"file": f"{number}.jpg", "robot": "abc"[number // 7], "light": "dark", "lane_label": label}
        for number, label in enumerate(labels)
    ]
    found = load_labelled(folder_of(tmp_path, lines))
    assert found.danger_only
    assert len(found.frames.labels) == 12
    truths = {found.frames.files[number].stem: found.frames.level(number) for number in range(12)}
    assert truths["0"] is Level.STOP and truths["1"] is truths["2"] is Level.CLEAR
    assert all(label["danger"] == (label["level"] == "STOP") for label in found.frames.labels)


def test_labels_that_know_levels_say_nothing_of_danger_alone(tmp_path: Path) -> None:
    assert not any("danger" in label for label in load_labelled(folder_of(tmp_path, levelled(6))).frames.labels)


def test_frames_without_a_place_belong_to_their_neighbours(tmp_path: Path) -> None:
    lines = [{"file": f"{number:04d}.jpg", "level": "CLEAR"} for number in range(80)]
    found = load_labelled(folder_of(tmp_path, lines))
    assert found.choosing == (*range(20, 40), *range(60, 80))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (None, "no labels.jsonl; render some"),
        ([], "is empty"),
        ([{"file": "a.jpg"}], "no line of"),
        (levelled(3), "fewer than two places"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(lines: list, says: str, tmp_path: Path) -> None:
    if lines is not None:
        folder_of(tmp_path, lines)
    with pytest.raises(LabelsError, match=says):
        load_labelled(tmp_path)
