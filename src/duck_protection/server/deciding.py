"""Typed decisions: a picture and questions in, probabilities out, from one forward pass and no text.

The shape is that of /v1/systemone (choice and noul), with the off-mass that a verdict needs. Promise: probabilities are
those of vlm_node's ~infer for the same picture, prompt and words, because the same batcher answers both.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, Dict, List, Tuple

import numpy as np

from duck_protection.question import Question
from duck_protection.server.asking import decisions
from duck_protection.server.engine import Turn, describe
from duck_protection.server.errors import ApiError, bad_request, broken, unavailable
from duck_protection.server.service import ASKERS, Service
from duck_protection.server.wire import DecisionRequest, parse
from duck_protection.verdict import Reply
from duck_protection.vlm.base import BusyError, ChoiceError, LateError, MemoryFullError, NotReadyError, VlmError

DEADLINE_S = 10.0  # a decision that took longer is about a road long gone


async def decide(service: Service, body: bytes, client: str) -> Dict[str, Any]:
    """The answers to all questions of this client; clients and the nodes that ask over ROS take turns.

    Raises:
        ApiError: One of them cannot be answered.
    """
    loop, came_s = asyncio.get_running_loop(), time.monotonic()
    request, frame, questions = await loop.run_in_executor(service.readers, _prepared, service, body)
    ends_s = came_s + min(float(request.deadline_s or DEADLINE_S), service.settings.deadline_s)
    work = [
        loop.run_in_executor(service.askers, _asked, service, frame, question, ends_s, client) for question in questions
    ]
    given = await asyncio.gather(*work)
    service.scheduler.tallies.decisions += len(questions)
    answers = {
        name: _answer(asked.type, question, reply)
        for (name, asked), question, reply in zip(request.questions.items(), questions, given)
    }
    return {
        "object": "decision",
        "model": service.name,
        "answers": answers,
        "usage": {"output_tokens": 0},
        "identity": describe(service.model.engine.facts),
        "timings": {
            "wait_ms": max(reply.timings.wait_ms for reply in given),
            "infer_ms": max(reply.timings.infer_ms for reply in given),
        },
    }


def _prepared(service: Service, body: bytes) -> Tuple[DecisionRequest, np.ndarray, List[Question]]:
    request = parse(DecisionRequest, body)
    frame, questions = decisions(request, service.intake)
    for question in questions:
        service.model.engine.fits([Turn("user", (frame, question.prompt))])
    return request, frame, questions


def _asked(service: Service, frame: np.ndarray, question: Question, ends_s: float, client: str) -> Reply:
    try:
        return service.model.batcher.choose(frame, question, ends_s, caller=f"http {client}", places=ASKERS)
    except VlmError as err:
        raise refusal(err) from err


def refusal(err: VlmError) -> ApiError:
    """A model's error in HTTP's words."""
    if isinstance(err, ChoiceError):
        return bad_request(str(err)[:500])
    if isinstance(err, (LateError, BusyError, NotReadyError, MemoryFullError)):
        return unavailable(str(err)[:500] or type(err).__name__)
    return broken("the model failed on this request")


def _answer(kind: str, question: Question, reply: Reply) -> Dict[str, Any]:
    if not all(math.isfinite(number) for number in (*reply.probabilities, reply.off_mass)):
        raise broken("the model gave no numbers")
    if kind == "noul":
        return {"type": "noul", "noul": reply.probabilities[0], "off_mass": reply.off_mass}
    best = max(range(len(question.words)), key=lambda number: reply.probabilities[number])
    return {
        "type": "choice",
        "choice": question.words[best],
        "probabilities": dict(zip(question.words, reply.probabilities)),
        "confidence": reply.probabilities[best],
        "off_mass": reply.off_mass,
        "text": reply.text,
    }
