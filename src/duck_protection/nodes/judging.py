"""The one thread that judges: it takes the newest frame, weighs it, asks the model, and says the verdict.

Promise: only the newest frame is judged; every frame taken gets a verdict, UNKNOWN with a reason where anything
is wrong with it, except a repeated picture, which is no evidence and gets none; a frame costs at most the
model's deadline.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Optional

from sensor_msgs.msg import CompressedImage

from duck_protection.evidence import Evidence
from duck_protection.frames import FrameError, digest
from duck_protection.msg import DuckVerdict
from duck_protection.nodes import messages
from duck_protection.nodes.asking import Answer, Asker
from duck_protection.nodes.messages import Frame
from duck_protection.nodes.speaking import Voice
from duck_protection.question import Question
from duck_protection.slot import Slot
from duck_protection.tally import Tally
from duck_protection.thresholds import ThresholdBook
from duck_protection.verdict import Judgement, Level, judge
from duck_protection.watch import Watch


@dataclass(frozen=True)
class Court:
    """Answers to verdicts: the thresholds, and whether a model without a record may speak."""

    book: ThresholdBook
    allow_uncalibrated: bool

    def verdict(self, frame: Frame, question: Question, answer: Answer) -> DuckVerdict:
        """The verdict that this answer about this frame supports."""
        if answer.reply is None:
            return unknown(frame, question, answer.reason)
        thresholds = self.book.lookup(answer.reply.identity, question.key)
        levels = [choice.level for choice in question.choices]
        judgement = judge(answer.reply, levels, thresholds, allow_uncalibrated=self.allow_uncalibrated)
        return messages.verdict_message(
            frame.header, judgement, question.key, question.words, answer.reply, thresholds.calibrated
        )


def unknown(frame: Frame, question: Question, reason: str) -> DuckVerdict:
    """Nothing can be said about this frame."""
    return messages.verdict_message(frame.header, Judgement(Level.UNKNOWN, reason), question.key)


@dataclass(frozen=True)
class Judging:
    """The way of one frame. run() is the thread; camera callbacks only put frames into the slot."""

    frames: Slot[Frame]
    evidence: Evidence
    asker: Asker
    court: Court
    question: Question
    deadline_s: float
    watch: Watch[DuckVerdict]
    tally: Tally
    voice: Voice
    show: Callable[[Frame, DuckVerdict], None]

    def run(self) -> None:
        """Judges until the slot is closed."""
        while True:
            frame = self.frames.take()
            if frame is None:
                return
            verdict = self._judge(frame)
            if verdict is not None:
                self.show(frame, verdict)

    def _judge(self, frame: Frame) -> Optional[DuckVerdict]:
        """Says the verdict about this frame, and returns it; None when there is nothing to say."""
        try:
            picture = messages.picture_of(frame)
        except FrameError as err:
            self.tally.count("unreadable")
            return self.voice.say(unknown(frame, self.question, f"unreadable: {err}"), frame.arrival.mono_s)
        asked_s = time.monotonic()
        weight = self.evidence.weigh(frame.arrival, digest(picture.data), asked_s)
        if weight.code == "repeated":
            self.tally.count("repeated")
            self.watch.repeated()
            return None
        answer = Answer(None, weight.code, weight.reason) if weight.code else self._ask(picture, asked_s)
        if answer.code:
            self.tally.count(answer.code)
        return self.voice.say(self.court.verdict(frame, self.question, answer), asked_s - weight.age_s)

    def _ask(self, picture: CompressedImage, asked_s: float) -> Answer:
        self.watch.asked(asked_s)
        answer = self.asker.choose(picture, self.question, self.deadline_s)
        self.tally.note("call_ms", (time.monotonic() - asked_s) * 1e3)
        return answer
