"""The events on disk: a folder each, within a budget, the oldest deleted first.

A folder FOLDER/ROBOT/ID holds event.json, and as they are made frame.jpg, clip.mp4 and drive.bag. Promise: an event is
listed only with a whole event.json; only known robots' and events' known files are ever given out; after prune() all
events together take no more than the budget, the newest one excepted.
"""
from __future__ import annotations

import json
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from duck_protection.dashboard.events import Event
from duck_protection.recording.results import write_json

FILES = {"frame.jpg": "image/jpeg", "clip.mp4": "video/mp4", "drive.bag": "application/octet-stream"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Kept:
    """One event on disk."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def listed(self) -> Dict[str, Any]:
        """What the page is told."""
        files = [name for name in FILES if (self.folder / name).is_file()]
        return {**self.about, "robot": self.folder.parent.name, "id": self.folder.name, "files": files}


class EventStore:
    """Any thread may call.

    Args:
        folder: Made when it is missing.
        budget_bytes: Of all files together.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.folder, self._budget_bytes = folder, budget_bytes
        self._lock = threading.Lock()
        self._version = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def version(self) -> int:
        """Another number whenever the list may have changed."""
        return self._version

    def open(self, robot: str, event: Event) -> Path:
        """A new folder with the event's description; give its files their names from FILES, then call changed()."""
        number = 0
        while True:
            suffix = f"-{number}" if number else ""
            folder = self.folder / robot / f"{int(1e3 * event.at_s)}-{event.kind.value}{suffix}"
            if not folder.exists():
                break
            number += 1
        folder.mkdir(parents=True)
        about = {"at_s": event.at_s, "kind": event.kind.value, "reason": event.reason}
        write_json(folder / "event.json", about)
        self.changed()
        return folder

    def changed(self) -> None:
        """Tells that files have come, and deletes the oldest events beyond the budget."""
        with self._lock:
            self._version += 1
            events = self._all()
            sizes = [_size_of(kept.folder) for kept in events]
            while len(events) > 1 and sum(sizes) > self._budget_bytes:
                shutil.rmtree(events.pop().folder, ignore_errors=True)
                sizes.pop()

    def events(self, most: int = 200) -> List[Dict[str, Any]]:
        """The newest events of all robots, newest first."""
        with self._lock:
            return [kept.listed for kept in self._all()[:most]]

    def file(self, robot: str, name: str, file: str) -> Optional[Path]:
        """The path of one event's file; None: no such thing."""
        if file not in FILES or not (NAME.fullmatch(robot) and NAME.fullmatch(name)):
            return None
        path = self.folder / robot / name / file
        return path if path.is_file() else None

    def _all(self) -> List[Kept]:
        found = [Kept(path.parent, about) for path in self.folder.glob("*/*/event.json") if (about := _about(path))]
        return sorted(found, key=lambda kept: float(kept.about["at_s"]), reverse=True)


def _about(path: Path) -> Dict[str, Any]:
    """The description; empty for what is none: somebody else's file, or one that was deleted meanwhile."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return about if isinstance(about, dict) and isinstance(about.get("at_s"), (int, float)) else {}
    except (OSError, ValueError):
        return {}


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # deleted meanwhile
            continue
    return total
