"""Writes down what happened: for each event a rosbag of the seconds around it, the picture, and a short film.

Promise: whoever reports an event returns at once, the disk is not his matter; a bag is written after_s after its event,
whatever becomes of other events' films, which a patient process draws one after the other; what cannot be kept is said
in the log and in the event, and nothing else suffers.
"""
from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Deque, List, Mapping, Optional, Sequence

import rospy

from duck_protection.dashboard.events import Event
from duck_protection.dashboard.ring import Item, Ring
from duck_protection.dashboard.store import EventStore
from duck_protection.nodes.bag_story import write_bag

FILM = (sys.executable, "-m", "duck_protection.nodes.event_film")  # and the folder
FILM_S = 180.0  # for one film on a busy machine; it takes 3 s of computing
WAITING = 64  # events; a minute holds at most 36 of one robot
POLL_S = 0.1
LATE_S = 0.5  # a ring that begins so late is whole: the slowest of its topics comes five times a second


@dataclass(frozen=True)
class _Reported:
    robot: str
    event: Event
    jpeg: bytes


@dataclass(frozen=True)
class _Opened:
    """Its folder is there, its bag comes when the seconds after it are over."""

    robot: str
    at_s: float
    folder: Path


class BlackBox:
    """Any thread may report.

    Args:
        rings: Of each robot.
        before_s, after_s: How much around an event is kept; together less than the rings hold.
        film: Draws the film of the folder that is its last argument.
        films_waiting: More are left out.
    """

    def __init__(
        self, store: EventStore, rings: Mapping[str, Ring], before_s: float, after_s: float,
        film: Sequence[str] = FILM, films_waiting: int = WAITING,
    ) -> None:
        self._store, self._rings, self._film = store, rings, film
        self._before_s, self._after_s = before_s, after_s
        self._reported: queue.Queue[_Reported] = queue.Queue(WAITING)
        self._films: queue.Queue[Path] = queue.Queue(films_waiting)
        self._ended = threading.Event()
        self._drawing: Optional[subprocess.Popen[bytes]] = None
        threading.Thread(target=self._run, name="black box", daemon=True).start()
        threading.Thread(target=self._run_films, name="films", daemon=True).start()

    def happened(self, robot: str, event: Event, jpeg: bytes) -> None:
        """Takes an event with the picture of its moment."""
        try:
            self._reported.put_nowait(_Reported(robot, event, jpeg))
        except queue.Full:
            rospy.logwarn_throttle(10.0, "an event is not kept, too many at once: %s", event.reason)

    def close(self) -> None:
        """Ends; what has not been written is left out."""
        self._ended.set()
        if self._drawing is not None and self._drawing.poll() is None:
            self._drawing.terminate()

    def _run(self) -> None:
        """Opens events as they come, and writes the bag of each when its time is there."""
        waiting: Deque[_Opened] = deque()
        while not self._ended.is_set():
            with suppress(queue.Empty):
                waiting += self._open(self._reported.get(timeout=POLL_S))
            while waiting and waiting[0].at_s + self._after_s <= time.time():
                self._write(waiting.popleft())

    def _open(self, told: _Reported) -> List[_Opened]:
        try:
            folder = self._store.open(told.robot, told.event)
        except OSError as err:
            rospy.logwarn_throttle(10.0, "an event is not kept: %s", err)
            return []
        try:
            if told.jpeg:
                (folder / "frame.jpg").write_bytes(told.jpeg)
                self._store.changed()
        except OSError as err:
            self._miss(folder, f"the picture could not be written: {err.strerror or err}")
        return [_Opened(told.robot, told.event.at_s, folder)]

    def _write(self, opened: _Opened) -> None:
        from_s = opened.at_s - self._before_s
        items = self._rings[opened.robot].between(from_s, opened.at_s + self._after_s)
        for gap in _gap(items, from_s):
            self._miss(opened.folder, gap)
        try:
            write_bag(opened.folder / "drive.bag", items)
            self._store.prune()
            self._films.put_nowait(opened.folder)
        except OSError as err:  # no space, or deleted to make room
            self._miss(opened.folder, f"the rosbag could not be written: {err.strerror or err}")
            self._store.finish(opened.folder)
        except queue.Full:
            self._miss(opened.folder, "too many events at once: no film was made")
            self._store.finish(opened.folder)

    def _run_films(self) -> None:
        while not self._ended.is_set():
            with suppress(queue.Empty):
                folder = self._films.get(timeout=POLL_S)
                if folder.is_dir() and not self._drawn(folder) and not self._ended.is_set():
                    self._miss(folder, "the film could not be made")
                self._store.finish(folder)

    def _drawn(self, folder: Path) -> bool:
        try:
            self._drawing = subprocess.Popen([*self._film, str(folder)], stdout=subprocess.DEVNULL)
            return self._drawing.wait(FILM_S) == 0
        except subprocess.TimeoutExpired:
            self._drawing.kill()
            return False
        except OSError:  # no memory for another process
            return False

    def _miss(self, folder: Path, what: str) -> None:
        rospy.logwarn_throttle(10.0, "an event is not kept whole: %s (%s)", what, folder)
        with suppress(OSError):
            self._store.miss(folder, what)


def _gap(items: List[Item], from_s: float) -> List[str]:
    """What the ring no longer, or not yet, held of these seconds; in words."""
    if not items:
        return ["the rosbag is empty: nothing was kept of these seconds"]
    late_s = items[0].at_s - from_s
    return [f"the rosbag begins {late_s:.1f} s late: nothing was kept before"] if late_s > LATE_S else []
