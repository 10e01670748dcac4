"""What unit tests share: pictures that are never uniform, and one question."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from duckietown_kit import write_assets
from PIL import Image

from duck_protection.question import Choice, Question
from duck_protection.simulation.official import VARIABLE
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


@pytest.fixture(scope="session")
def _assets_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture
def assets_folder(_assets_written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as Duckietown's package, which the variable names."""
    monkeypatch.setenv(VARIABLE, str(_assets_written))
    return _assets_written
