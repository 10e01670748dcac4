"""Asks vlm_node about a picture, and takes nothing but an answer to that very question.

Answers: what did the model say, or in one word and one sentence, why nothing? Promise: returns within its
deadline whatever vlm_node does; an answer to another frame or another question is no answer.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Optional

from sensor_msgs.msg import CompressedImage

from duck_protection.nodes import messages
from duck_protection.nodes.bounded_service import BoundedService, ServiceError, ServiceGone, ServiceLate
from duck_protection.question import Question
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from duck_protection.verdict import Reply

# status of InferImage.srv: the counter's name, and how the reason begins
REFUSALS = {
    InferImageResponse.LOADING: ("loading", "model: loading"),
    InferImageResponse.UNREADABLE: ("unreadable", "unreadable"),
    InferImageResponse.LATE: ("model_late", "model: too late"),
    InferImageResponse.BUSY: ("model_busy", "model: busy"),
    InferImageResponse.BAD_REQUEST: ("model_refused", "model: refuses the question"),
    InferImageResponse.OUT_OF_MEMORY: ("model_failed", "model: out of memory"),
    InferImageResponse.MODEL_ERROR: ("model_failed", "model: failed"),
}


@dataclass(frozen=True)
class Answer:
    """A reply; or none, then a word for the counters and a reason for people."""

    reply: Optional[Reply]
    code: str = ""
    reason: str = ""


class Asker:
    """One connection to ~infer. Any thread may ask, one at a time; others wait, within their deadline.

    Args:
        role: What for, when it is not for driving: vlm_node lets one request of each asker wait.
    """

    def __init__(self, role: str = "") -> None:
        self._service = BoundedService("~infer", InferImage, role=role)

    def choose(self, picture: CompressedImage, question: Question, deadline_s: float) -> Answer:
        """The probabilities of the question's choices."""
        return self._ask(messages.choice_request(picture, question, deadline_s), deadline_s)

    def generate(self, picture: CompressedImage, prompt: str, max_tokens: int, deadline_s: float) -> Answer:
        """The answer to a free question, in reply.text."""
        return self._ask(messages.text_request(picture, prompt, max_tokens, deadline_s), deadline_s)

    def _ask(self, request: InferImageRequest, deadline_s: float) -> Answer:
        try:
            response = self._call(request, deadline_s)
        except ServiceLate:
            return Answer(None, "model_silent", f"model: no answer within {deadline_s:g} s")
        except ServiceGone as err:
            return Answer(None, "model_gone", f"model: gone: {err}")
        except ServiceError as err:
            return Answer(None, "model_failed", f"model: {err}")
        return _believed(request, response)

    def _call(self, request: InferImageRequest, deadline_s: float) -> InferImageResponse:
        """Twice, when nobody is there: the connection may be the one to a model that has been restarted since."""
        ends_s = time.monotonic() + deadline_s
        try:
            return self._service.call(request, deadline_s)
        except ServiceGone:
            return self._service.call(request, ends_s - time.monotonic())


def _believed(request: InferImageRequest, response: InferImageResponse) -> Answer:
    if not messages.echoes(request, response):
        return Answer(None, "model_lies", "model: answered another frame or question than was asked")
    if response.status == InferImageResponse.OK:
        return Answer(messages.reply_from(response))
    code, begin = REFUSALS.get(response.status, ("model_failed", f"model: unknown status {response.status}"))
    return Answer(None, code, f"{begin}: {response.error}" if response.error else begin)
