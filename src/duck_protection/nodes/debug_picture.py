"""The debug picture: what was seen, with the verdict drawn onto it, for whoever is looking.

Promise: costs nothing while nobody looks; and while somebody does, draws in a thread of its own, the newest
verdict only, a few times a second.
"""
from __future__ import annotations

from typing import Tuple

import rospy
from sensor_msgs.msg import CompressedImage

from duck_protection.frames import FrameError, decode
from duck_protection.msg import DuckVerdict
from duck_protection.nodes import messages
from duck_protection.nodes.messages import Frame
from duck_protection.nodes.newest import show_newest
from duck_protection.question import Question
from duck_protection.slot import Slot
from duck_protection.verdict import Level


class DebugPicture:
    """Publishes ~debug/image/compressed."""

    def __init__(self, question: Question, rate_hz: float) -> None:
        self._question = question
        self._slot: Slot[Tuple[Frame, DuckVerdict]] = Slot()
        self._publisher = rospy.Publisher("~debug/image/compressed", CompressedImage, queue_size=1)
        show_newest(self._slot, self._draw, rate_hz, "debug picture")

    def show(self, frame: Frame, verdict: DuckVerdict) -> None:
        """Hands a judged frame over, if somebody looks."""
        if self._publisher.get_num_connections() > 0:
            self._slot.put((frame, verdict))

    def _draw(self, judged: Tuple[Frame, DuckVerdict]) -> None:
        from duck_protection.recording import overlay  # needs fonts and icons; only for those who look

        frame, verdict = judged
        try:
            rgb = decode(messages.picture_of(frame).data)
        except FrameError:
            return
        lines = [verdict.reason, f"age {verdict.age_ms:.0f} ms, model {verdict.infer_ms:.0f} ms", verdict.model]
        bars = [
            overlay.Bar(choice.word, choice.level, probability)
            for choice, probability in zip(self._question.choices, verdict.probabilities)
        ]
        drawn = overlay.draw(rgb, Level(verdict.level), lines, bars)
        if not rospy.is_shutdown():
            self._publisher.publish(messages.jpeg_message(drawn, frame.header))
