"""For people: ~check (what do you see now?) and ~ask (a free question), about the newest frame.

Answers go to whoever asked, and to nobody else: no governor hears them. Promise: each asks over a connection of
its own, one at a time, within its own deadline, so that no person ever delays a verdict in this node.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

import rospy
from std_msgs.msg import Header

from duck_protection.frames import FrameError
from duck_protection.msg import DuckVerdict
from duck_protection.nodes import messages
from duck_protection.nodes.asking import Answer, Asker
from duck_protection.nodes.judging import Court, unknown
from duck_protection.nodes.messages import Frame
from duck_protection.question import Question
from duck_protection.slot import Slot
from duck_protection.srv import (
    AskCamera,
    AskCameraRequest,
    AskCameraResponse,
    CheckRoad,
    CheckRoadRequest,
    CheckRoadResponse,
)
from duck_protection.verdict import Judgement, Level

BUSY = "busy: another one is being answered, ask again"
MAX_TOKENS = 1024
MAX_PROMPT_CHARS = 4000


@dataclass(frozen=True)
class Manners:
    """How long people may wait, and how much they get. Reasons stand in config/duck_protection_node.yaml."""

    silence_s: float
    check_deadline_s: float
    ask_deadline_s: float
    ask_tokens: int


class CheckDesk:
    """The service ~check."""

    def __init__(
        self, frames: Slot[Frame], court: Court, questions: Mapping[str, Question], default: Question, manners: Manners
    ) -> None:
        self._frames, self._court = frames, court
        self._questions, self._default, self._manners = questions, default, manners
        self._asker = Asker("check")
        self._one = threading.Lock()
        rospy.Service("~check", CheckRoad, self._check)

    def _check(self, request: CheckRoadRequest) -> CheckRoadResponse:
        question = self._questions.get(request.question) if request.question else self._default
        if question is None:
            known = ", ".join(sorted(self._questions))
            return CheckRoadResponse(_nothing("", f"question: none is called {request.question!r}; known: {known}"))
        if not self._one.acquire(blocking=False):
            return CheckRoadResponse(_nothing(question.key, BUSY))
        try:
            return CheckRoadResponse(self._verdict(question))
        finally:
            self._one.release()

    def _verdict(self, question: Question) -> DuckVerdict:
        frame, trouble = _newest(self._frames, self._manners.silence_s)
        if frame is None:
            return _nothing(question.key, trouble)
        try:
            picture = messages.picture_of(frame)
        except FrameError as err:
            return unknown(frame, question, f"unreadable: {err}")
        answer = self._asker.choose(picture, question, self._manners.check_deadline_s)
        verdict = self._court.verdict(frame, question, answer)
        verdict.age_ms = (time.monotonic() - frame.arrival.mono_s) * 1e3
        return verdict


class AskDesk:
    """The service ~ask."""

    def __init__(self, frames: Slot[Frame], manners: Manners) -> None:
        self._frames, self._manners = frames, manners
        self._asker = Asker("ask")
        self._one = threading.Lock()
        rospy.Service("~ask", AskCamera, self._ask)

    def _ask(self, request: AskCameraRequest) -> AskCameraResponse:
        begun_s = time.monotonic()
        if not 0 < len(request.question.strip()) <= MAX_PROMPT_CHARS:
            return AskCameraResponse(text=f"question: must have 1 to {MAX_PROMPT_CHARS} characters")
        if not self._one.acquire(blocking=False):
            return AskCameraResponse(text=BUSY)
        try:
            frame, trouble = _newest(self._frames, self._manners.silence_s)
            if frame is None:
                return AskCameraResponse(text=trouble)
            return _written(frame, self._answer(frame, request), begun_s)
        finally:
            self._one.release()

    def _answer(self, frame: Frame, request: AskCameraRequest) -> Answer:
        try:
            picture = messages.picture_of(frame)
        except FrameError as err:
            return Answer(None, "unreadable", f"unreadable: {err}")
        tokens = min(request.max_tokens or self._manners.ask_tokens, MAX_TOKENS)
        return self._asker.generate(picture, request.question, tokens, self._manners.ask_deadline_s)


def _newest(frames: Slot[Frame], silence_s: float) -> Tuple[Optional[Frame], str]:
    """The newest frame, or why there is none that could stand for now."""
    frame = frames.newest
    if frame is None:
        return None, "no_frame: no picture has come since the start"
    silent_s = time.monotonic() - frame.arrival.mono_s
    if silent_s >= silence_s:
        return None, f"camera: silent for {silent_s:.1f} s"
    return frame, ""


def _written(frame: Frame, answer: Answer, begun_s: float) -> AskCameraResponse:
    now_s = time.monotonic()
    return AskCameraResponse(
        ok=answer.reply is not None,
        text=answer.reply.text if answer.reply is not None else answer.reason,
        stamp=frame.header.stamp,
        age_s=now_s - frame.arrival.mono_s,
        seconds=now_s - begun_s,
    )


def _nothing(question_key: str, reason: str) -> DuckVerdict:
    return messages.verdict_message(Header(), Judgement(Level.UNKNOWN, reason), question_key)
