"""What the recorder's thread makes of frames and verdicts, read back from the video."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image

from duck_protection.recording.drive import Heard, InForce
from duck_protection.recording.palette import COLOURS
from duck_protection.recording.recorder import SIZE_PX, Recorder
from duck_protection.verdict import Level

LEVELS = {"Clear": Level.CLEAR, "Slow": Level.SLOW, "Stop": Level.STOP}


def jpeg(seed: int, width: int = 640, height: int = 480) -> bytes:
    out = io.BytesIO()
    view = np.random.default_rng(seed).integers(60, 200, (height // 8, width // 8, 3)).astype(np.uint8)
    Image.fromarray(view).resize((width, height)).save(out, "JPEG", quality=90)
    return out.getvalue()


def edges(path: Path) -> list[Level]:
    """The level of each frame of the video, by the colour of its tile."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(picture.shape == (SIZE_PX[1], SIZE_PX[0], 3) for picture in pictures)
    corners = [picture[8:14, 8:14].reshape(-1, 3).mean(axis=0) for picture in pictures]
    return [min(COLOURS, key=lambda level: float(np.abs(corner - COLOURS[level]).sum())) for corner in corners]


def test_each_frame_shows_the_verdict_that_was_in_force_on_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4", 20.0, LEVELS)
    for number, level in enumerate((Level.CLEAR, Level.STOP, Level.SLOW)):
        stamp_s = 1.7e9 + number / 20
        recorder.frame(jpeg(number), stamp_s)
        recorder.verdict(Heard(stamp_s + 0.04, stamp_s, level, "as judged", tuple(LEVELS), (0.2, 0.3, 0.5)))
    recorder.frame(jpeg(3), 1.7e9 + 3 / 20)
    recorder.close()
    assert edges(tmp_path / "a.mp4") == [Level.UNKNOWN, Level.CLEAR, Level.STOP, Level.SLOW]


def test_a_given_verdict_is_drawn_and_unreadable_pictures_leave_a_black_frame(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4", 2.0, LEVELS)
    recorder.frame(jpeg(1, 480, 360), 10.0, InForce(Level.STOP, "stop: seen", 0.1, None), "one.jpg")
    recorder.frame(b"no picture", 10.5, InForce(Level.UNKNOWN, "unreadable: it is no picture", None, None), "two.jpg")
    recorder.close()
    assert edges(tmp_path / "a.mp4") == [Level.STOP, Level.UNKNOWN]
    assert (recorder.unreadable, recorder.left_out) == (1, 0)
