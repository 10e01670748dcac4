"""Records a drive: every camera frame with the verdict in force on it as video, and the log that is counted later.

Answers nothing itself; drive.py and summary.py do. Promise: taking a frame or a verdict returns at once; pictures
are decoded, drawn and encoded in a thread of their own, and close() waits until the last is in the file.
"""
from __future__ import annotations

import queue
import threading
from itertools import takewhile
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from duck_protection import frames
from duck_protection.recording.drive import Drive, Heard, InForce, Moment
from duck_protection.recording.overlay import Bar, draw
from duck_protection.recording.video import VideoWriter, fitted
from duck_protection.verdict import Level

SIZE_PX = (640, 480)
WAITING = 1200  # pictures, 60 s at 20 Hz, about 60 MB; beyond that the newest are left out of the video

Picture = Tuple[bytes, float, Optional[InForce], str]  # bytes, stamp, verdict, caption


class Recorder:
    """Takes frames, verdicts and truth from any thread, until close().

    Args:
        video: Where to write the .mp4.
        rate_hz: Of the video.
        levels: The level that each offered word stands for, for the bars' colours.
    """

    def __init__(self, video: Path, rate_hz: float, levels: dict[str, Level], hold_s: float = 5.0) -> None:
        self.drive = Drive()
        self.left_out = 0
        self.unreadable = 0
        self._levels = levels
        self._lock = threading.Lock()
        self._pictures: queue.Queue[Optional[Picture]] = queue.Queue(WAITING)
        self._video = VideoWriter(video, SIZE_PX, rate_hz, hold_s)
        self._thread = threading.Thread(target=self._work, name="video", daemon=True)
        self._thread.start()

    def frame(self, data: bytes, stamp_s: float, force: Optional[InForce] = None, caption: str = "") -> None:
        """Takes a picture for the video.

        Args:
            data: JPEG, PNG or PPM.
            stamp_s: Its place in the video.
            force: The verdict to draw; None: the one in force at stamp_s.
            caption: The strip's right text; empty: what is true, where that is known.
        """
        try:
            self._pictures.put_nowait((data, stamp_s, force, caption))
        except queue.Full:
            self.left_out += 1

    def verdict(self, heard: Heard) -> None:
        """Takes a verdict."""
        with self._lock:
            self.drive.hear(heard)

    def truth(self, moment: Moment) -> None:
        """Takes the truth of a frame."""
        with self._lock:
            self.drive.see(moment)

    def in_force(self, at_s: float) -> InForce:
        """What was in force at this moment, the wall clock's seconds."""
        with self._lock:
            return self.drive.in_force(at_s)

    def judged_per_s(self, now_s: float, window_s: float = 3.0) -> float:
        """Distinct frames judged per second in the last seconds."""
        with self._lock:
            recent = takewhile(lambda heard: heard.heard_s > now_s - window_s, reversed(self.drive.verdicts))
            return len({heard.stamp_s for heard in recent if heard.judged}) / window_s

    def ducks(self) -> Tuple[int, int]:
        """Met and hit so far."""
        with self._lock:
            last = self.drive.moments[-1] if self.drive.moments else None
        return (last.ducks_met, last.ducks_hit) if last else (0, 0)

    @property
    def waiting(self) -> int:
        """Pictures that are not in the video yet."""
        return self._pictures.qsize()

    def close(self) -> None:
        """Ends the video when every picture taken is in it."""
        self._pictures.put(None)
        self._thread.join()
        self._video.close()

    def _work(self) -> None:
        while True:
            picture = self._pictures.get()
            if picture is None:
                return
            try:
                rgb = fitted(frames.decode(picture[0]), SIZE_PX)
            except frames.FrameError:
                self.unreadable += 1
                rgb = np.zeros((SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
            self._show(rgb, picture)

    def _show(self, rgb: np.ndarray, picture: Picture) -> None:
        _, stamp_s, force, caption = picture
        with self._lock:
            force = force or self.drive.in_force(stamp_s)
            moment = _moment_at(self.drive.moments, stamp_s)
        lines = (force.reason, _evidence(force), caption or _truth(moment))
        self._video.add(draw(rgb, force.level, lines, self._bars(force)), stamp_s)

    def _bars(self, force: InForce) -> List[Bar]:
        if force.heard is None:
            return []
        pairs = zip(force.heard.choices, force.heard.probabilities)
        return [Bar(word, self._levels.get(word, Level.UNKNOWN), probability) for word, probability in pairs]


def _moment_at(moments: List[Moment], stamp_s: float) -> Optional[Moment]:
    """The truth of this frame, or the last one before it."""
    return next((moment for moment in reversed(moments) if moment.stamp_s <= stamp_s), None)


def _evidence(force: InForce) -> str:
    return "no frame judged yet" if force.age_s is None else f"evidence {1e3 * force.age_s:.0f} ms old"


def _truth(moment: Optional[Moment]) -> str:
    if moment is None:
        return ""
    duck = "no duck in the way" if moment.nearest_m is None else f"duck at {moment.nearest_m:.2f} m"
    return f"{moment.speed_mps:.2f} m/s   ·   truth: {moment.level.name}, {duck}"
