"""What /diagnostics says about the protection: the level, the rates, the ages, and every counter.

Answers the person who asks why a robot stands still. Promise: reported once a second on the monotonic clock, from
a thread of its own, whatever the verdict path does.
"""
from __future__ import annotations

import threading
import time
from typing import Any

import diagnostic_updater
import rospy
from diagnostic_msgs.msg import DiagnosticStatus

from duck_protection.nodes.messages import Frame
from duck_protection.nodes.speaking import Voice
from duck_protection.slot import Slot
from duck_protection.tally import Tally
from duck_protection.verdict import Level

PERIOD_S = 1.0
COUNTERS = (
    "unreadable", "repeated", "late", "stamp", "clock", "loading", "model_silent", "model_gone", "model_late",
    "model_busy", "model_refused", "model_failed", "model_lies",
)  # fmt: skip


class Diagnostics:
    """Publishes one status named "verdict"."""

    def __init__(self, frames: Slot[Frame], voice: Voice, tally: Tally) -> None:
        self._frames, self._voice, self._tally = frames, voice, tally
        self._updater = diagnostic_updater.Updater()
        self._updater.setHardwareID(rospy.get_namespace().strip("/") or "none")
        self._updater.add("verdict", self._report)
        threading.Thread(target=self._run, name="diagnostics", daemon=True).start()

    def _run(self) -> None:
        while not rospy.is_shutdown():
            time.sleep(PERIOD_S)
            try:
                self._updater.force_update()
            except rospy.ROSException:
                if not rospy.is_shutdown():  # the topic closes before the threads end
                    raise

    def _report(self, status: Any) -> Any:
        said, tally, now_s = self._voice.last, self._tally, time.monotonic()
        level = Level(said.level) if said is not None else Level.UNKNOWN
        worst = DiagnosticStatus.WARN if level is Level.UNKNOWN else DiagnosticStatus.OK
        status.summary(worst, f"{level.name}: {said.reason if said is not None else 'nothing said yet'}")
        status.add("model", said.model if said is not None else "")
        status.add("Frames (Hz)", f"{tally.rate_hz('frame', now_s):.1f}")
        status.add("Verdicts (Hz)", f"{tally.rate_hz('verdict', now_s):.1f}")
        for name, title in (("age_ms", "Age at verdict"), ("call_ms", "Model call")):
            status.add(f"{title} p50 (ms)", f"{tally.recent(name, 0.5):.1f}")
            status.add(f"{title} p95 (ms)", f"{tally.recent(name, 0.95):.1f}")
        status.add("dropped", str(self._frames.replaced))
        counts = tally.counts
        for name in COUNTERS:
            status.add(name, str(counts.get(name, 0)))
        return status
