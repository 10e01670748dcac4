"""The README's moving picture: it begins before the first stop that lasts, and it is small."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duck_protection.recording.overlay import draw
from duck_protection.recording.run_gif import BEFORE_S, first_stop_s, main
from duck_protection.recording.video import VideoWriter
from duck_protection.verdict import Level


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds: SLOW, a STOP that flickers at 5 s, one that lasts from 12 s on."""
    path = tmp_path_factory.mktemp("film") / "demo.mp4"
    road = np.random.default_rng(1).integers(60, 200, (240, 320, 3)).astype(np.uint8)
    with VideoWriter(path, (320, 240), 10.0) as video:
        for number in range(200):
            at_s = number / 10
            level = Level.STOP if 5.0 <= at_s < 5.3 or at_s >= 12.0 else Level.SLOW
            video.add(draw(road, level, ["", "", ""]), at_s)
    return path


def test_a_flicker_is_no_stop_to_show(film: Path) -> None:
    assert first_stop_s(film) == pytest.approx(12.0 - BEFORE_S, abs=0.3)


def test_the_picture_moves_lasts_as_asked_and_is_small_enough(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo.gif"
    assert main([str(film), "--out", str(out), "--seconds", "6"]) == 0
    with Image.open(out) as picture:
        seconds = sum(_duration(picture, index) for index in range(picture.n_frames)) / 1000
        assert picture.n_frames > 5 and seconds == pytest.approx(6.0, abs=0.5)
    assert main([str(film), "--out", str(out), "--max-mb", "0.001"]) == 1


def _duration(picture: Image.Image, index: int) -> float:
    picture.seek(index)
    return float(picture.info["duration"])
