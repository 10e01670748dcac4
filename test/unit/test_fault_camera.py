"""The campaign's camera: whatever is left out of it, it never repeats a picture by itself."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rostest"))
from bench import noisy_jpegs
from PIL import Image
from robot import numbered

from duck_protection.evidence import REMEMBERED
from duck_protection.frames import digest


@pytest.mark.parametrize("step", [1, 3, 4, 5, 20])
def test_every_so_manyth_picture_is_new(step: int) -> None:
    """Of 20 pictures in a ring every fourth came again after five: a slow camera was stopped as a frozen one."""
    ring = [jpeg + bytes(4) for jpeg in noisy_jpegs(20, (60, 40))]
    sent = [digest(numbered(ring, step * count)) for count in range(REMEMBERED + 1)]
    assert len(set(sent)) == REMEMBERED + 1


def test_a_numbered_picture_is_still_one() -> None:
    jpeg = noisy_jpegs(1, (60, 40))[0]
    assert Image.open(io.BytesIO(numbered([jpeg + bytes(4)], 77))).convert("RGB").size == (60, 40)
