"""Pictures with stamps become an H.264 video at a constant frame rate.

Answers: which picture was there at each moment? Promise: the video's time is the stamps' time: a gap shows the
last picture for as long as it lasted (at most hold_s), two pictures in one slot leave the newer, and the file is
whole, with its index, once close() has returned.
"""
from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Optional, Tuple, Type

import av
import numpy as np
from PIL import Image

PRESET = "superfast"  # measured at 640x480: 2.5 ms a picture and half the file of "ultrafast" with its 1.7 ms
CRF = "22"  # the encoder's quality scale, 0 to 51: text stays crisp


class VideoWriter:
    """Writes one file. One thread at a time.

    Args:
        path: Of an .mp4 file, overwritten.
        size_px: (width, height); pictures of another size are fitted into it on black. Both become even.
        rate_hz: Pictures a second in the file.
        hold_s: A longer gap between stamps than this is shortened to it.
    """

    def __init__(self, path: Path, size_px: Tuple[int, int], rate_hz: float, hold_s: float = 5.0) -> None:
        self.frames = 0
        self._rate_hz = rate_hz
        self._hold_slots = max(1, round(hold_s * rate_hz))
        self._size_px = (size_px[0] // 2 * 2, size_px[1] // 2 * 2)  # 4:2:0 colour needs even sides
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        self._stream = self._container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        self._stream.width, self._stream.height = self._size_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": PRESET, "crf": CRF}
        self._stream.codec_context.thread_count = 1  # the model needs the other core
        self._first_s: Optional[float] = None
        self._shift_slots = 0  # by how much shortened gaps moved the rest
        self._waiting: Optional[np.ndarray] = None
        self._waiting_slot = 0

    def add(self, rgb: np.ndarray, stamp_s: float) -> None:
        """Takes the next picture, uint8, shape (height, width, 3), RGB order. Stamps that go back are ignored."""
        if self._first_s is None:
            self._first_s = stamp_s
        slot = round((stamp_s - self._first_s) * self._rate_hz) - self._shift_slots
        if self._waiting is not None and slot < self._waiting_slot:
            return
        too_long = max(0, slot - self._waiting_slot - self._hold_slots)
        self._shift_slots += too_long
        self._write_until(slot - too_long)
        self._waiting = fitted(rgb, self._size_px)

    def close(self) -> None:
        """Writes what waits and the index. Without a single picture there is no file."""
        self._write_until(self._waiting_slot + 1)
        self._waiting = None
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], err: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _write_until(self, slot: int) -> None:
        """The waiting picture fills every slot before this one."""
        while self._waiting is not None and self._waiting_slot < slot:
            frame = av.VideoFrame.from_ndarray(self._waiting, format="rgb24")
            frame.pts = self.frames
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
            self.frames += 1
            self._waiting_slot += 1
        self._waiting_slot = slot


def fitted(rgb: np.ndarray, size_px: Tuple[int, int]) -> np.ndarray:
    """The whole picture, as large as fits into (width, height), centred on black."""
    width, height = size_px
    if rgb.shape[:2] == (height, width):
        return rgb
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    inner = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    out = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    small = Image.fromarray(rgb).resize(inner, Image.Resampling.BILINEAR)
    out[top : top + inner[1], left : left + inner[0]] = np.asarray(small)
    return out
