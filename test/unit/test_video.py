"""The video's time is the stamps' time, read back by another reader than the writer."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from duck_protection.recording.video import VideoWriter, fitted

RATE_HZ = 20.0


def picture(brightness: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A gradient around this brightness: never uniform."""
    ramp = np.linspace(-20, 20, width)[None, :, None]
    return np.clip(brightness + np.broadcast_to(ramp, (height, width, 3)), 0, 255).astype(np.uint8)


def write(path: Path, stamped: list[tuple[int, float]], hold_s: float = 5.0) -> list[float]:
    """Writes (brightness, stamp) pictures; returns the mean brightness of each frame read back."""
    with VideoWriter(path, (64, 48), RATE_HZ, hold_s) as video:
        for brightness, stamp_s in stamped:
            video.add(picture(brightness), stamp_s)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 64, 48)
        assert float(stream.average_rate) == RATE_HZ
        return [float(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(stream)]


def test_every_picture_becomes_one_frame_in_order(tmp_path: Path) -> None:
    jitter_s = (0.0, 0.012, -0.015, 0.02, -0.01, 0.0)
    seen = write(tmp_path / "a.mp4", [(40 + 30 * n, 1.7e9 + n / RATE_HZ + j) for n, j in enumerate(jitter_s)])
    assert seen == pytest.approx([40 + 30 * n for n in range(6)], abs=6)


def test_a_gap_shows_the_last_picture_for_as_long_as_it_lasted(tmp_path: Path) -> None:
    seen = write(tmp_path / "a.mp4", [(50, 10.0), (200, 10.5)])
    assert seen == pytest.approx([50] * 10 + [200], abs=6)


def test_a_gap_beyond_the_limit_is_shortened_once(tmp_path: Path) -> None:
    seen = write(tmp_path / "a.mp4", [(50, 10.0), (200, 99.0), (90, 99.05)], hold_s=0.5)
    assert seen == pytest.approx([50] * 10 + [200, 90], abs=6)


def test_of_two_pictures_in_one_slot_the_newer_stays_and_the_past_is_ignored(tmp_path: Path) -> None:
    seen = write(tmp_path / "a.mp4", [(50, 10.0), (120, 10.001), (200, 10.05), (80, 9.0)])
    assert seen == pytest.approx([120, 200], abs=6)


def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", (64, 48), RATE_HZ) as video:
        assert video.frames == 0
    assert not (tmp_path / "a.mp4").exists()


def test_the_whole_picture_is_fitted_in() -> None:
    tall = np.dstack([picture(200, 30, 90)[:, :, 0]] * 3)
    out = fitted(tall, (64, 48))
    assert out.shape == (48, 64, 3)
    assert out[:, 24:40].min() > 100, "16 of 64 columns show it from top to bottom"
    assert out[:, :23].max() == out[:, 41:].max() == 0
