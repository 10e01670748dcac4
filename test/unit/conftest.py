"""What unit tests share: pictures that are never uniform, and one question."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from duck_protection.question import Choice, Question
from duck_protection.verdict import Level


@pytest.fixture
def picture() -> np.ndarray:
    """uint8, (48, 64, 3) RGB: a gradient each way and noise, so that flips, crops and swaps show."""
    rows, columns = np.mgrid[0:48, 0:64]
    noise = np.random.default_rng(7).integers(0, 30, (48, 64))
    return np.stack([rows * 4, columns * 3, noise], axis=2).astype(np.uint8)


@pytest.fixture
def jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def road() -> Question:
    choices = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
    return Question("road", 1, "Is a duck in your way?", choices)
