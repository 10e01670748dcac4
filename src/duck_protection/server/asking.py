"""From a request to what the engine is asked: turns with decoded pictures, sampling, one constraint, limits.

Promise: everything here is pure and may run in any thread; whatever cannot be kept is refused with 400, and of two
constraints none is silently dropped.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, List, Optional, Tuple, Union

import numpy as np

from duck_protection.frames import DEFAULT_LIMITS, FrameLimits
from duck_protection.question import Choice, Question
from duck_protection.server.engine import Constraint, Sampling, Turn, Wanted
from duck_protection.server.errors import bad_request
from duck_protection.server.pictures import picture
from duck_protection.server.wire import Asked, Bias, ChatRequest, DecisionRequest, Message, Part
from duck_protection.verdict import Level

TOP_LOGPROBS = 20  # when logprobs are wanted without a number: llama.cpp's default
MOST_LETTERS = 256  # of a word in logit_bias, as of a stop string
NOUL = ("Yes", "No")


@dataclass(frozen=True)
class Intake:
    """What the server lets in."""

    frames: FrameLimits = DEFAULT_LIMITS
    most_images: int = 4
    fetch: bool = False


@dataclass(frozen=True)
class Asking:
    """A chat request, understood."""

    turns: Tuple[Turn, ...]
    wanted: Wanted
    count: int
    max_tokens: int  # -1: until the context is full
    stops: Tuple[str, ...]


def asking(request: ChatRequest, intake: Intake) -> Asking:
    """What this request asks.

    Raises:
        ApiError: 400.
    """
    if request.tools and request.tool_choice != "none":
        raise bad_request("tools are not supported by this server")
    budget = [intake.most_images]
    turns = tuple(_turn(message, intake, budget) for message in request.messages)
    limits = [request.max_completion_tokens, request.max_tokens, request.n_predict]
    max_tokens = next((value for value in limits if value is not None), -1)
    stop = request.stop if isinstance(request.stop, list) else [request.stop or ""]
    wanted = Wanted(_sampling(request), _constraint(request), _top_logprobs(request))
    return Asking(turns, wanted, request.n or 1, max_tokens, tuple(word for word in stop if word))


def decisions(request: DecisionRequest, intake: Intake) -> Tuple[np.ndarray, List[Question]]:
    """The picture and the questions.

    Raises:
        ApiError: 400.
    """
    images = [*(request.images or []), *(request.files or [])]
    if len(images) != 1:
        raise bad_request(f"exactly one image is needed, got {len(images)}")
    frame = picture(images[0], intake.frames, fetch=intake.fetch)
    state = request.state if isinstance(request.state, str) or request.state is None else json.dumps(request.state)
    return frame, [_question(name, asked, state or "") for name, asked in request.questions.items()]


def _question(name: str, asked: Asked, state: str) -> Question:
    words = list(NOUL) if asked.type == "noul" else list(asked.criteria or [])
    if len(words) < 2:
        raise bad_request(f"question {name[:64]!r} needs at least two criteria to choose from")
    # Levels are the robot's matter, not the server's; a Question wants some.
    levels = [Level.STOP, *[Level.CLEAR] * (len(words) - 1)]
    prompt = f"{state}\n{asked.instructions}" if state else asked.instructions
    try:
        return Question(name or "question", 1, prompt, tuple(Choice(word, level) for word, level in zip(words, levels)))
    except ValueError as err:
        raise bad_request(str(err)[:500]) from err


def _turn(message: Message, intake: Intake, budget: List[int]) -> Turn:
    if message.content is None:
        if message.role != "assistant":
            raise bad_request("All non-assistant messages must contain 'content'")
        return Turn(message.role, ("",))
    if isinstance(message.content, str):
        return Turn(message.role, (message.content,))
    return Turn(message.role, tuple(_part(part, intake, budget) for part in message.content))


def _part(part: Part, intake: Intake, budget: List[int]) -> Union[str, np.ndarray]:
    if part.type == "text":
        if part.text is None:
            raise bad_request("a content part of type text needs 'text'")
        return part.text
    if part.type != "image_url":
        raise bad_request("unsupported content[].type; text and image_url are understood")
    budget[0] -= 1
    if budget[0] < 0:
        raise bad_request(f"more than {intake.most_images} images")
    url = part.image_url if isinstance(part.image_url, str) else part.image_url.url if part.image_url else ""
    return picture(url, intake.frames, fetch=intake.fetch)


def _sampling(request: ChatRequest) -> Sampling:
    names = {field.name for field in fields(Sampling)} - {"logit_bias"}
    given = {name: getattr(request, name) for name in names if getattr(request, name) is not None}
    return Sampling(**given, logit_bias=_bias(request.logit_bias))


def _bias(bias: Bias) -> Tuple[Tuple[Union[int, str], float], ...]:
    pairs: List[Any] = [*bias.items()] if isinstance(bias, dict) else [*(bias or [])]
    if any(len(pair) != 2 for pair in pairs) or len(pairs) > 4096:
        raise bad_request("Field 'logit_bias': must be pairs of token and bias, at most 4096")
    out: List[Tuple[Union[int, str], float]] = []
    for key, value in pairs:
        if isinstance(key, float) or not isinstance(value, (int, float)):
            raise bad_request("Field 'logit_bias': a token is a number or text, its bias a number or false")
        if isinstance(key, str) and len(key) > MOST_LETTERS:
            raise bad_request(f"Field 'logit_bias': a word may have {MOST_LETTERS} characters")
        in_object = isinstance(bias, dict) and isinstance(key, str) and key.isascii() and key.isdigit()
        out.append((int(key) if in_object else key, -math.inf if value is False else float(value)))
    return tuple(out)


def _top_logprobs(request: ChatRequest) -> Optional[int]:
    if not request.logprobs:
        if request.top_logprobs:
            raise bad_request("top_logprobs requires logprobs to be set to true")
        return request.n_probs or None
    count = request.top_logprobs if request.top_logprobs is not None else request.n_probs
    return TOP_LOGPROBS if count is None else count


def _constraint(request: ChatRequest) -> Optional[Constraint]:
    found = [*_from_format(request), *_from_vllm(request)]
    if request.json_schema is not None:
        found.append(Constraint("json_schema", request.json_schema))
    if request.grammar:
        found.append(Constraint("grammar", request.grammar))
    if len(found) > 1:
        raise bad_request(f"only one constraint can be kept, got {' and '.join(one.kind for one in found)}")
    return found[0] if found else None


def _from_format(request: ChatRequest) -> List[Constraint]:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return []
    if wanted.type == "json_object":
        return [Constraint("json_schema", wanted.schema_ or {"type": "object"})]
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema_ is None:
            raise bad_request("response_format json_schema needs json_schema.schema")
        return [Constraint("json_schema", wanted.json_schema.schema_)]
    raise bad_request("response_format type must be one of text, json_object, json_schema")


def _from_vllm(request: ChatRequest) -> List[Constraint]:
    given = {key.replace("json_object", "object"): value for key, value in (request.structured_outputs or {}).items()}
    old = {
        "choice": request.guided_choice, "json": request.guided_json, "regex": request.guided_regex,
        "grammar": request.guided_grammar,
    }  # fmt: skip
    both = [*given.items(), *old.items()]
    return [_vllm(key, value) for key, value in both if value is not None and value is not False]


def _vllm(key: str, value: Any) -> Constraint:
    if key == "object" and value is True:
        return Constraint("json_schema", {"type": "object"})
    if key == "choice" and isinstance(value, list) and value and all(isinstance(word, str) and word for word in value):
        return Constraint("choice", value)
    if key == "json" and isinstance(value, (dict, str)):
        try:
            return Constraint("json_schema", json.loads(value) if isinstance(value, str) else value)
        except (ValueError, RecursionError) as err:
            raise bad_request("structured_outputs.json is not JSON") from err
    if key in ("regex", "grammar") and isinstance(value, str):
        return Constraint(key, value)
    raise bad_request(f"structured_outputs: {key[:40]!r} with this content cannot be kept")
