"""Writes down what happened: for each event a rosbag of the seconds around it, the picture, and a short film.

Promise: whoever reports an event returns at once; events are written one after the other by a thread of their own,
films are drawn by another, patient process; what cannot be written is said and left out, and nothing else suffers.
"""
from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional

import rospy

from duck_protection.dashboard.events import Event
from duck_protection.dashboard.ring import Ring
from duck_protection.dashboard.store import EventStore
from duck_protection.nodes.bag_story import write_bag

FILM_S = 180.0  # for one film on a busy machine; it takes 3 s of computing
WAITING = 64  # events; a minute holds at most 36 of one robot


@dataclass(frozen=True)
class _Pending:
    robot: str
    event: Event
    folder: Path


class BlackBox:
    """Any thread may report.

    Args:
        rings: Of each robot.
        before_s, after_s: How much around an event is kept; before_s less than the rings hold.
    """

    def __init__(self, store: EventStore, rings: Mapping[str, Ring], before_s: float, after_s: float) -> None:
        self._store, self._rings = store, rings
        self._before_s, self._after_s = before_s, after_s
        self._pending: queue.Queue[_Pending] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._film: Optional[subprocess.Popen[bytes]] = None
        threading.Thread(target=self._run, name="black box", daemon=True).start()

    def happened(self, robot: str, event: Event, jpeg: bytes) -> None:
        """Takes an event with the picture of its moment."""
        try:
            folder = self._store.open(robot, event)
            if jpeg:
                (folder / "frame.jpg").write_bytes(jpeg)
            self._store.changed()
            self._pending.put_nowait(_Pending(robot, event, folder))
        except (OSError, queue.Full) as err:
            rospy.logwarn_throttle(10.0, "an event is not kept: %s", err or "too many at once")

    def close(self) -> None:
        """Ends; what has not been written is left out."""
        self._ended.set()
        if self._film is not None and self._film.poll() is None:
            self._film.terminate()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                pending = self._pending.get(timeout=1.0)
            except queue.Empty:
                continue
            if self._ended.wait(max(0.0, pending.event.at_s + self._after_s - time.time())):
                return
            try:
                self._write(pending)
            except OSError as err:  # no space, or deleted to make room
                rospy.logwarn_throttle(10.0, "an event is not kept whole: %s", err)

    def _write(self, pending: _Pending) -> None:
        at_s = pending.event.at_s
        items = self._rings[pending.robot].between(at_s - self._before_s, at_s + self._after_s)
        write_bag(pending.folder / "drive.bag", items)
        self._store.changed()
        command = [sys.executable, "-m", "duck_protection.nodes.event_film", str(pending.folder)]
        self._film = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            if self._film.wait(FILM_S) and not self._ended.is_set():
                rospy.logwarn("the film of %s could not be made", pending.folder)
        except subprocess.TimeoutExpired:
            self._film.kill()
        self._store.changed()
