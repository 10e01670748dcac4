"""A second model that sees what the driving one sees, and is only recorded: vlm_node's ~shadow.

Answers: where would the other model have said something else? Promise: the driver never waits for its answer. offer()
puts a frame into a short queue or drops it; the shadow asks, compares and writes in a thread of its own, which steps
aside when it computes itself; that it fails, hangs or fills its disk is said on ~shadow/status and nowhere else. No
promise: in process it shares interpreter, cores and card with the driver, which gets slower then; prefer remote.
"""
from __future__ import annotations

import os
import queue
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, ClassVar, Optional

import numpy as np
import rospy
from std_msgs.msg import Header, String

from duck_protection.msg import ShadowReading
from duck_protection.nodes import messages
from duck_protection.nodes.eyes import EyeSettings, opener
from duck_protection.nodes.shadow_record import MB, Parting, ShadowRecord, parting, plain
from duck_protection.question import Question
from duck_protection.settings import RangeTable, SettingsError, check_ranges
from duck_protection.verdict import Reply, Timings
from duck_protection.vlm.base import Vlm, VlmError

KEY_VARIABLE = "FASTVLM_SHADOW_KEY"
ASIDE = 19  # nice value of the shadow's thread
STATUS_S = 1.0


@dataclass(frozen=True)
class ShadowSettings:
    """The group ~shadow; reasons stand in config/vlm_node.yaml. An empty backend: no shadow."""

    backend: str = ""
    model: str = ""
    device: str = "auto"
    dtype: str = "auto"
    script: str = ""
    server_url: str = ""
    server_s: float = 5.0
    waiting: int = 2
    differs_at: float = 0.3
    folder: str = ""
    max_mb: int = 500

    RANGES: ClassVar[RangeTable] = {
        "server_s": (0.05, 60.0), "waiting": (1, 16), "differs_at": (0.0, 1.0), "max_mb": (1, 1_000_000),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.backend == "remote" and not self.server_url:
            raise SettingsError("shadow/server_url must name the server for shadow/backend remote")
        if self.backend:
            self.eyes  # noqa: B018  refuse bad ones now

    @property
    def eyes(self) -> EyeSettings:
        """As the driver's settings are given."""
        return EyeSettings(self.backend, self.model, self.device, self.dtype, script=self.script,
                           server_url=self.server_url, server_s=self.server_s)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """One frame that the driver has answered about: its header, the camera's bytes, its pixels, what was said."""

    header: Header
    data: bytes
    frame: np.ndarray
    question: Question
    reply: Reply


class Shadow:
    """The second model. start() begins loading it.

    Raises:
        SettingsError: The folder or the script cannot be used.
    """

    def __init__(self, settings: ShadowSettings) -> None:
        self._settings = settings
        self._open: Callable[[], Vlm] = opener(settings.eyes, KEY_VARIABLE)
        self._record = _record(settings)
        self._queue: queue.Queue[Shown] = queue.Queue(settings.waiting)
        self._vlm: Optional[Vlm] = None
        self._read = self._parted = self._dropped = self._failed = 0
        self._last_error = ""
        self._parting = rospy.Publisher("~shadow/disagreement", ShadowReading, queue_size=10)
        self._status = rospy.Publisher("~shadow/status", String, queue_size=1, latch=True)
        self._said, self._said_s = "", 0.0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Called when the driver is ready: loading must not delay it."""
        self._thread.start()

    def offer(self, shown: Shown) -> None:
        """Never waits, from any thread. Before the shadow is ready nothing is kept or counted."""
        if self._vlm is None:
            return
        try:
            self._queue.put_nowait(shown)
        except queue.Full:
            self._dropped += 1

    def tick(self) -> None:
        """Says how it goes on ~shadow/status, once a second at most."""
        now_s = time.monotonic()
        text = self._words()
        if text != self._said and now_s >= self._said_s + STATUS_S:
            self._said, self._said_s = text, now_s
            self._status.publish(String(text))

    def _words(self) -> str:
        if self._vlm is None:
            return f"failed: {self._last_error}" if self._last_error else "loading"
        counts = f"{self._read} read, {self._parted} parted, {self._dropped} dropped, {self._failed} failed"
        full = ", the folder is full" if self._record is not None and self._record.full else ""
        error = f", last error: {self._last_error}" if self._last_error else ""
        state = "ready" if self._thread.is_alive() else "ended"
        return f"{state}: {self._vlm.identity.model}, {counts}{full}{error}"

    def _run(self) -> None:
        # One that asks a server computes little: on a busy machine it would be put aside while it holds the
        # interpreter, and the driver waited for it (+10.5 ms at p50, against +2.1 as it is; ./run bench shadow).
        if self._settings.backend != "remote":
            _step_aside()
        try:
            self._vlm = self._open()
        except VlmError as err:
            self._last_error = str(err)
            rospy.logerr("the shadow has failed, the driver goes on: %s", err)
            return
        rospy.loginfo("the shadow is ready: %s", self._vlm.identity)
        while True:
            self._compare(self._vlm, self._queue.get())

    def _compare(self, vlm: Vlm, shown: Shown) -> None:
        begun_s = time.monotonic()
        try:
            (reply,) = vlm.choose([shown.frame], [shown.question])
        except VlmError as err:
            self._failed += 1
            self._last_error = f"{type(err).__name__}: {err}"
            self._write(shown, None, None)
            return
        self._read += 1
        reply = replace(reply, timings=Timings(infer_ms=1e3 * (time.monotonic() - begun_s)))
        found = parting(shown.reply, reply)
        differs = not found.same_word or found.difference >= self._settings.differs_at
        if differs:
            self._parted += 1
            self._publish(shown, reply, found)
        self._write(shown, reply, found, keep=differs)

    def _publish(self, shown: Shown, reply: Reply, found: Parting) -> None:
        message = messages.shadow_message(shown.header, shown.question.words, shown.reply, reply)
        message.same_word, message.difference, message.dropped = found.same_word, found.difference, self._dropped
        self._parting.publish(message)

    def _write(self, shown: Shown, reply: Optional[Reply], found: Optional[Parting], keep: bool = False) -> None:
        if self._record is None or self._vlm is None:
            return
        line = {
            "stamp_s": shown.header.stamp.to_sec(), "prompt": shown.question.prompt,
            "choices": list(shown.question.words), "driver": plain(shown.reply),
            "shadow": plain(reply) if reply is not None else None, "shadow_model": self._vlm.identity.model,
            "same": found.same_word if found else None, "difference": round(found.difference, 6) if found else None,
            "dropped": self._dropped,
        }  # fmt: skip
        try:
            self._record.write(line, shown.data if keep else None)
        except OSError as err:
            self._last_error = f"nothing more is written: {err}"
            self._record = None


def _record(settings: ShadowSettings) -> Optional[ShadowRecord]:
    if not settings.folder:
        return None
    try:
        return ShadowRecord(Path(settings.folder).expanduser(), settings.max_mb * MB)
    except OSError as err:
        raise SettingsError(f"shadow/folder {settings.folder!r} cannot be used: {err}") from err


def _step_aside() -> None:
    """On Linux each thread has a nice value of its own, and the threads it starts inherit it."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ASIDE)
