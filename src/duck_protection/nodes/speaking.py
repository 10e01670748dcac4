"""What the node says on ~verdict: each verdict at once when it is made, and a steady word between them.

Promise: what is said never goes back to an older frame, because making and repeating take one lock; the tick
repeats or downgrades and never renews; a frozen subscriber delays nobody (queue_size is set).
"""
from __future__ import annotations

import threading
import time
from typing import Callable, Optional

import rospy
from std_msgs.msg import Header

from duck_protection.msg import DuckVerdict
from duck_protection.nodes import messages
from duck_protection.tally import Tally
from duck_protection.verdict import Judgement, Level
from duck_protection.watch import Watch


class Voice:
    """Publishes verdicts. The worker says, the steady timer ticks."""

    def __init__(self, watch: Watch[DuckVerdict], tally: Tally, question_key: str) -> None:
        self._watch, self._tally, self._question_key = watch, tally, question_key
        self._publisher = rospy.Publisher("~verdict", DuckVerdict, queue_size=4, tcp_nodelay=True)
        self._lock = threading.Lock()
        self._last: Optional[DuckVerdict] = None
        self._logged: Optional[int] = None

    def say(self, verdict: DuckVerdict, born_mono_s: float) -> DuckVerdict:
        """Publishes a verdict about a frame that was stamped at born_mono_s, as well as can be told."""
        with self._lock:
            now_s = time.monotonic()
            verdict.age_ms = (now_s - born_mono_s) * 1e3
            self._watch.judged(verdict, born_mono_s)
            self._publish(verdict)
        self._tally.note("verdict", now_s)
        self._tally.note("age_ms", verdict.age_ms)
        return verdict

    def tick(self) -> None:
        """The steady word: the last verdict unchanged, or UNKNOWN."""
        with self._lock:
            word = self._watch.word(time.monotonic())
            if word.repeat is not None:
                self._publish(word.repeat)
            else:
                judgement = Judgement(Level.UNKNOWN, word.reason)
                self._publish(messages.verdict_message(Header(), judgement, self._question_key))
        self._log_changes()

    @property
    def last(self) -> Optional[DuckVerdict]:
        """What was said last; None before the first word."""
        return self._last

    def _publish(self, verdict: DuckVerdict) -> None:
        self._last = verdict
        try:
            self._publisher.publish(verdict)
        except rospy.ROSException:
            if not rospy.is_shutdown():  # the topic closes before the threads end
                raise

    def _log_changes(self) -> None:
        """At most one line a tick, and none while the level stays."""
        said = self._last
        if said is None or said.level == self._logged:
            return
        self._logged = said.level
        log: Callable[[str], None] = rospy.logwarn if said.level == Level.UNKNOWN else rospy.loginfo
        log(f"verdict {Level(said.level).name}: {said.reason}")
