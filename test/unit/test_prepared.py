"""Frames made ready in their callers' threads get the replies that they would have had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Question
from duck_protection.vlm.fastvlm import FastVlm


@pytest.fixture
def vlm(tmp_path: Path, road: Question) -> FastVlm:
    tokenizer = tiny_tokenizer(road)
    return FastVlm(str(saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "tiny")), "cpu")


def pictures(count: int) -> list:
    return list(np.random.default_rng(5).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8))


def test_a_prepared_frame_gets_the_same_reply(vlm: FastVlm, road: Question) -> None:
    (frame,) = pictures(1)
    square = vlm.prepare(frame)
    assert square.shape == (vlm.checkpoint.side_px, vlm.checkpoint.side_px, 3) and square.dtype == np.uint8
    (plain,), (prepared,) = vlm.choose([frame], [road]), vlm.choose([square], [road])
    assert plain.probabilities == prepared.probabilities and plain.off_mass == prepared.off_mass
