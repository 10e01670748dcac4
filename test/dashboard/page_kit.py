"""A site without ROS behind it, served for real."""
from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, Iterable, List, Mapping, Optional, Tuple

import numpy as np
from PIL import Image

from duck_protection.dashboard.app import AskError, Site
from duck_protection.dashboard.robot import Robot, Timing
from duck_protection.dashboard.serving import PageServer
from duck_protection.dashboard.store import EventStore
from duck_protection.recording.drive import Heard
from duck_protection.verdict import Level

LEVELS = {"Clear": 1, "Slow": 2, "Stop": 3}
TOKEN = "a-token-for-tests-0123"


def jpeg(seed: int) -> bytes:
    """A picture, another for each seed."""
    out = io.BytesIO()
    view = np.random.default_rng(seed).integers(60, 200, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(view).resize((320, 240)).save(out, "JPEG")
    return out.getvalue()


def judged(robot: Robot, level: Level, at_s: float) -> None:
    """Lets the robot hear a verdict about a frame that is 50 ms old."""
    shares = {Level.CLEAR: (0.9, 0.08, 0.02), Level.SLOW: (0.2, 0.7, 0.1), Level.STOP: (0.01, 0.09, 0.9)}[level]
    heard_as(robot, level, shares, at_s)


def heard_as(robot: Robot, level: Level, shares: Tuple[float, ...], at_s: float, words: Iterable[str] = LEVELS) -> None:
    """The same with any numbers and words."""
    heard = Heard(at_s, at_s - 0.05, level, f"{level.name.lower()}: as judged", tuple(words), shares)
    robot.verdict(heard, Timing(50.0, 3.0, 1.0, 30.0), "duckling")


class Parrot:
    """Answers what it was asked; is silent about "silence"."""

    def __init__(self) -> None:
        self.asked: List[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.verdict: Mapping[str, Any] = {}  # what check says otherwise

    def ask(self, robot: str, question: str) -> Mapping[str, Any]:
        self.asked.append(f"{robot}: {question}")
        assert self.may_answer.wait(60.0)
        if question == "silence":
            raise AskError("model: no answer within 30 s")
        return {"ok": True, "text": f"you said {question}", "age_s": 0.06, "seconds": 0.2}

    def check(self, robot: str) -> Mapping[str, Any]:
        self.asked.append(f"{robot}: check")
        told = {"level": 3, "reason": "stop: p(stop) 0.9", "choices": [], "probabilities": [], "age_ms": 70.0}
        return {**told, **self.verdict}


class Served:
    """A page in this process, that can be ended and started again on the same port."""

    def __init__(self, folder: Path, names: List[str], token: str = TOKEN) -> None:
        self.robots = [Robot(name) for name in names]
        self.store = EventStore(folder / "events", 10_000_000)
        self.desk = Parrot()
        self.server: Optional[PageServer] = None
        self.port, self.token = 0, token

    def start(self, host: str = "127.0.0.1") -> str:
        """Its address."""
        site = Site(self.robots, self.store, self.desk, LEVELS, "a test")
        self.server = PageServer(site, host, self.port, self.token)
        self.port = int(self.server.url.rpartition(":")[2])
        self.server.start()
        return f"http://127.0.0.1:{self.port}/"

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
