"""Photographs: boxes become places, labels by eye overrule them, and doubt keeps a picture out of the lessons."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from duck_protection.learning import photographs, projection
from duck_protection.learning.sources import kind, open_data
from duck_protection.simulation.camera import project
from duck_protection.simulation.town import BUMPER_M
from duck_protection.verdict import Level

NEAR, FAR_RIGHT, HIGH = [300.0, 330.0, 350.0, 380.0], [600.0, 200.0, 620.0, 220.0], [300.0, 20.0, 320.0, 40.0]
boxes_anywhere = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 440), st.floats(4, 40), st.floats(4, 40)).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    ),
    max_size=4,
)


def line(*boxes: list, **more: Any) -> dict:
    return {"file": "a.jpg", "width": 640, "boxes": [{"name": "Duckie", "box": list(box)} for box in boxes], **more}


def folder_of(folder: Path, lines: list) -> Path:
    (folder / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    for one in lines:
        Image.fromarray(noise).save(folder / one["file"])
    return folder


@pytest.mark.parametrize("forward_m", [0.05, 0.1, 0.15])
def test_the_simulators_near_ducks_are_placed_within_a_few_centimetres(forward_m: float) -> None:
    """Another calibration and another robot: near places agree, and left is left."""
    x, y = project(np.array([[forward_m, 0.05, 0.0]]))[0]
    ((ahead, left),) = projection.places([[x - 20, y - 40, x + 20, y]], 640)
    assert ahead == pytest.approx(forward_m, abs=0.06)
    assert left == pytest.approx(0.05, abs=0.05)


def test_a_smaller_copy_of_the_picture_has_the_same_places() -> None:
    small = [[0.75 * edge for edge in NEAR]]
    assert np.allclose(projection.places([NEAR], 640), projection.places(small, 480))


def test_what_stands_above_the_horizon_has_no_place() -> None:
    assert np.isnan(projection.places([HIGH], 640)).all()
    assert photographs.shares(line(HIGH)) is not None  # a duck on a shelf is no duck on the road


def test_the_robot_is_the_simulators() -> None:
    assert projection.BUMPER_M == BUMPER_M


@settings(max_examples=60, deadline=None)
@given(boxes_anywhere, st.sampled_from(["own_lane", "off_road", "none"]))
def test_the_label_by_eye_wins_over_any_boxes(boxes: list, label: str) -> None:
    shares = photographs.shares(line(*boxes, lane_label=label, road="busy_road"))
    assert shares is not None and shares.sum() == pytest.approx(1)
    if label == "own_lane":
        assert shares[Level.CLEAR - 1] == 0
    else:
        assert shares[Level.STOP - 1] == 0
    assert label != "none" or shares[Level.CLEAR - 1] == 1


@pytest.mark.parametrize(
    ("one", "level"),
    [
        (line(NEAR), "STOP"),  # so near that no curve matters
        (line(), "CLEAR"),
        (line(HIGH), "CLEAR"),
        (line([300, 190, 330, 215]), None),  # half a metre ahead: a curve may lead past it
        (line(NEAR, lane_label="edge_of_lane"), None),  # somebody looked, and found it hard to say
        (line(NEAR, road="clear_road"), "SLOW"),  # beside the road, whatever the calibration says
        ({"file": "a.jpg"}, None),  # nobody looked for ducks
        ({"file": "a.jpg", "lane_label": "own_lane"}, "STOP"),
        ({"file": "a.jpg", "lane_label": "off_road"}, "CLEAR"),
    ],
)
def test_only_what_leaves_no_doubt_teaches(one: dict, level: str, tmp_path: Path) -> None:
    frames = photographs.taught(folder_of(tmp_path, [one]))
    assert [label["level"] for label in frames.labels] == ([level] if level else [])


def test_a_lane_label_alone_is_enough_to_be_scored(tmp_path: Path) -> None:
    labels = ["own_lane", "off_road", "none", "unclear", "duckiebot_near", None]
    lines = [{"file": f"{n}.jpg", "lane_label": label, "split": "test"} for n, label in enumerate(labels)]
    frames = open_data(folder_of(tmp_path, lines))
    assert kind(frames) == "photographs"
    assert [label["danger"] for label in frames.labels] == [True, False, False]
    assert len(open_data(tmp_path, "test").files) == 3
    with pytest.raises(ValueError, match="of split train has a level"):
        open_data(tmp_path, "train")


def test_robots_can_be_held_out_and_neighbours_stay_together(tmp_path: Path) -> None:
    lines = [
        {"file": f"{n}.jpg", "robot": "ab"[n // 20], "light": "dark", "lane_label": "none"} for n in range(40)
    ]
    frames = photographs.taught(folder_of(tmp_path, lines), robots=["b"])
    assert {label["robot"] for label in frames.labels} == {"b"}
    assert frames.looks.tolist() == [2] * 10 + [3] * 10
    everyone = photographs.scored(tmp_path)
    assert everyone.looks.tolist()[20:] == frames.looks.tolist()  # so what was kept back stays kept back


def test_levelled_lines_without_small_pictures_are_read_too(tmp_path: Path) -> None:
    lines = [{"file": f"{n}.jpg", "level": "STOP", "map": f"town {n // 2}"} for n in range(4)]
    frames = open_data(folder_of(tmp_path, lines))
    assert kind(frames) == "rendered" and frames.looks.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("text", ["[]\n", '{"level": "STOP"}\n'])
def test_a_line_without_a_file_is_refused_by_its_number(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text(text)
    with pytest.raises(ValueError, match="line 1"):
        open_data(tmp_path)


def test_a_folder_without_labels_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\./run data"):
        open_data(tmp_path)


def test_the_real_photographs_keep_their_labels() -> None:
    """DUCK_PHOTOGRAPHS names the folder of the data set, which is not part of this project."""
    folder = os.environ.get("DUCK_PHOTOGRAPHS")
    if not folder:
        pytest.skip("DUCK_PHOTOGRAPHS does not name a folder of photographs")
    for one in photographs.read_lines(Path(folder)):
        shares, danger = photographs.shares(one), photographs.danger(one)
        assert danger is None or shares is not None
        if danger is not None:
            assert shares[Level.CLEAR - 1 if danger else Level.STOP - 1] == 0
    assert {label["robot"] for label in photographs.scored(Path(folder), "test").labels}.isdisjoint(
        label["robot"] for label in photographs.taught(Path(folder), "train").labels
    )
