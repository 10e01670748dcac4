"""The events on disk: a folder each, within a budget, the oldest deleted first.

A folder FOLDER/ROBOT/ID holds event.json, and as they are made frame.jpg, clip.mp4 and drive.bag. Promise: an event is
listed only with a whole event.json, and says whether more of it will come and what never will; only known robots' and
events' known files are ever given out; after prune() all events together take no more than the budget, the newest one
excepted.
"""
from __future__ import annotations

import json
import math
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set

from duck_protection.dashboard.events import Event
from duck_protection.recording.folders import size_of
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
        return {"missing": [], **self.about, "robot": self.folder.parent.name, "id": self.folder.name, "files": files}


class EventStore:
    """Any thread may call.

    Args:
        folder: Made when it is missing.
        budget_bytes: Of all files together.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.folder, self._budget_bytes = folder, budget_bytes
        self._lock = threading.Lock()
        self._unfinished: Set[Path] = set()
        self._version = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def version(self) -> int:
        """Another number whenever the list may have changed."""
        return self._version

    def open(self, robot: str, event: Event) -> Path:
        """A new folder with the event's description; give its files names from FILES, tell changed(), then finish()."""
        number = 0
        while True:
            suffix = f"-{number}" if number else ""
            folder = self.folder / robot / f"{int(1e3 * event.at_s)}-{event.kind.value}{suffix}"
            if not folder.exists():
                break
            number += 1
        folder.mkdir(parents=True)
        with self._lock:
            self._unfinished.add(folder)
        about = {"at_s": event.at_s, "kind": event.kind.value, "reason": event.reason}
        write_json(folder / "event.json", about)
        self.changed()
        return folder

    def changed(self) -> None:
        """Tells that files have come."""
        with self._lock:
            self._version += 1

    def miss(self, folder: Path, what: str) -> None:
        """Writes into the event, in words, what it will never have. OSError: it cannot be written."""
        with self._lock:
            about = _about(folder / "event.json")
            if about:  # else it was deleted to make room
                write_json(folder / "event.json", {**about, "missing": [*about.get("missing", []), what]})

    def finish(self, folder: Path) -> None:
        """Nothing more will come to this event."""
        with self._lock:
            self._unfinished.discard(folder)
        self.prune()

    def prune(self) -> None:
        """Deletes the oldest events beyond the budget. Reads the whole folder: not for a thread that must go on."""
        with self._lock:
            events = self._all()
            sizes = [size_of(kept.folder) for kept in events]
            while len(events) > 1 and sum(sizes) > self._budget_bytes:
                shutil.rmtree(events.pop().folder, ignore_errors=True)
                sizes.pop()
            self._version += 1

    def events(self, most: int = 200) -> List[Dict[str, Any]]:
        """The newest events of all robots, newest first; "unfinished": more of it will come."""
        with self._lock:
            return [{**kept.listed, "unfinished": kept.folder in self._unfinished} for kept in self._all()[:most]]

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
        known = isinstance(about, dict) and isinstance(about.get("at_s"), (int, float)) and math.isfinite(about["at_s"])
        return about if known else {}
    except (OSError, ValueError):
        return {}
