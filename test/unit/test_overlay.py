"""The overlay says the level so that nobody can mistake it, and leaves the road visible."""

from __future__ import annotations

import numpy as np
import pytest

from duck_protection.recording import icons
from duck_protection.recording.overlay import BANNER_PX, STRIP_PX, Bar, draw
from duck_protection.recording.palette import COLOURS
from duck_protection.verdict import Level

BARS = (Bar("Clear", Level.CLEAR, 0.1), Bar("Slow", Level.SLOW, 0.2), Bar("Stop", Level.STOP, 0.7))
LINES = ("stop: p(stop) 0.700", "evidence 84 ms old", "0.19 m/s")


@pytest.fixture
def road_view() -> np.ndarray:
    """uint8, (480, 640, 3) RGB, bright with noise: the worst case for white text."""
    return np.random.default_rng(3).integers(150, 256, (480, 640, 3)).astype(np.uint8)


def grey(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ (0.299, 0.587, 0.114)


def test_every_level_looks_different_even_without_its_colour(road_view: np.ndarray) -> None:
    drawn = [grey(draw(road_view, level, LINES, BARS)) for level in Level]
    for first in range(4):
        for second in range(first):
            assert np.count_nonzero(np.abs(drawn[first] - drawn[second]) > 60) > 500


def test_each_shape_has_its_own_outline() -> None:
    masks = [grey(icons.tile(level, 64)) > 235 for level in Level]
    for first in range(4):
        for second in range(first):
            assert np.count_nonzero(masks[first] ^ masks[second]) > 100


def test_the_picture_keeps_its_shape_and_its_middle(road_view: np.ndarray) -> None:
    before = road_view.copy()
    drawn = draw(road_view, Level.STOP, LINES, BARS)
    assert drawn.shape == road_view.shape and drawn.dtype == np.uint8
    middle = (slice(BANNER_PX, -STRIP_PX), slice(8, -8))
    assert np.array_equal(drawn[middle], road_view[middle])
    assert np.array_equal(road_view, before), "the caller's picture was painted on"


def test_read_only_pictures_can_be_drawn_on(road_view: np.ndarray) -> None:
    """frames.decode() gives read-only arrays."""
    road_view.setflags(write=False)
    draw(road_view, Level.CLEAR, LINES, BARS)


@pytest.mark.parametrize("level", list(Level))
def test_the_edge_has_the_levels_colour(road_view: np.ndarray, level: Level) -> None:
    drawn = draw(road_view, level)
    assert tuple(drawn[-1, 300]) == tuple(drawn[200, 0]) == COLOURS[level]


def test_a_bar_grows_with_its_probability(road_view: np.ndarray) -> None:
    def stop_pixels(probability: float) -> int:
        drawn = draw(road_view, Level.CLEAR, (), (Bar("Stop", Level.STOP, probability),))
        return int(np.count_nonzero((drawn[:BANNER_PX] == COLOURS[Level.STOP]).all(axis=2)))

    assert stop_pixels(float("nan")) == stop_pixels(0.0) == 0
    assert 0 < stop_pixels(0.1) < stop_pixels(0.5) < stop_pixels(1.0)
    assert stop_pixels(7.0) == stop_pixels(1.0)


@pytest.mark.parametrize("shape", [(120, 160), (480, 360), (240, 320), (1080, 1920)])
def test_any_size_of_picture_can_be_drawn_on(shape: tuple[int, int]) -> None:
    view = np.random.default_rng(4).integers(0, 256, (*shape, 3)).astype(np.uint8)
    drawn = draw(view, Level.UNKNOWN, ("a reason far too long for the picture " * 9, "left " * 60, "right " * 60), BARS)
    assert drawn.shape == view.shape
    assert not np.array_equal(drawn, view)
