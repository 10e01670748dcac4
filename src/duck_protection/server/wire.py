"""The requests as they come over the wire: which fields there are, and their types and ranges.

Answers: is this JSON a chat request, a decision request? What is unknown is ignored, as llama.cpp does; null means the
default. Promise: a request that validates has every number in its range; parse() says in one sentence what is wrong.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Dict, List, Literal, Optional, Type, TypeVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from duck_protection.server.errors import bad_request

MOST_TOP_LOGPROBS = 100  # llama.cpp has no limit, OpenAI has 20
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
T = TypeVar("T", bound=BaseModel)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _seed(value: Any) -> Any:
    """llama.cpp takes -1 and 4294967295 for a random seed."""
    value = _whole(value)
    return None if value in (-1, 2**32 - 1) and not isinstance(value, bool) else value


Count = Annotated[StrictInt, BeforeValidator(_whole), Field(ge=-1, le=2**31 - 1)]
Number = Annotated[Union[StrictInt, StrictFloat], Field(ge=-1e9, le=1e9)]


class Lenient(BaseModel):
    """Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")


class ImageUrl(Lenient):
    url: StrictStr = ""


class Part(Lenient):
    """One part of a message: text, or a picture as a data URI."""

    type: StrictStr
    text: Optional[StrictStr] = None
    image_url: Union[ImageUrl, StrictStr, None] = None


class Message(Lenient):
    role: Annotated[StrictStr, Field(min_length=1, max_length=32)]
    content: Union[StrictStr, Annotated[List[Part], Field(max_length=256)], None] = None


class JsonSchema(Lenient):
    schema_: Annotated[Optional[Dict[str, Any]], Field(alias="schema")] = None


class ResponseFormat(Lenient):
    type: StrictStr
    schema_: Annotated[Optional[Dict[str, Any]], Field(alias="schema")] = None
    json_schema: Optional[JsonSchema] = None


class StreamOptions(Lenient):
    include_usage: Optional[StrictBool] = None


Words = Annotated[List[Annotated[StrictStr, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=256)]
Weight = Union[Number, Literal[False]]
Bias = Union[Dict[str, Weight], List[List[Union[StrictStr, Weight]]], None]
Stop = Annotated[StrictStr, Field(max_length=256)]


class ChatRequest(Lenient):
    """POST /v1/chat/completions: llama.cpp's fields that mean something here, and vLLM's constraints."""

    messages: Annotated[List[Message], Field(max_length=512)]
    model: Optional[StrictStr] = None
    stream: Optional[StrictBool] = None
    stream_options: Optional[StreamOptions] = None
    max_tokens: Optional[Count] = None
    max_completion_tokens: Optional[Count] = None
    n_predict: Optional[Count] = None
    temperature: Optional[Number] = None
    top_k: Optional[Count] = None
    top_p: Optional[Annotated[Number, Field(ge=0, le=1)]] = None
    min_p: Optional[Annotated[Number, Field(ge=0, le=1)]] = None
    repeat_penalty: Optional[Annotated[Number, Field(gt=0, le=100)]] = None
    presence_penalty: Optional[Annotated[Number, Field(ge=-100, le=100)]] = None
    frequency_penalty: Optional[Annotated[Number, Field(ge=-100, le=100)]] = None
    seed: Annotated[Optional[Annotated[StrictInt, Field(ge=0, le=2**63 - 1)]], BeforeValidator(_seed)] = None
    stop: Union[Stop, Annotated[List[Stop], Field(max_length=16)], None] = None
    n: Optional[Annotated[Count, Field(ge=1)]] = None
    logit_bias: Bias = None
    logprobs: Optional[StrictBool] = None
    top_logprobs: Optional[Annotated[Count, Field(ge=0, le=MOST_TOP_LOGPROBS)]] = None
    n_probs: Optional[Annotated[Count, Field(ge=0, le=MOST_TOP_LOGPROBS)]] = None
    response_format: Optional[ResponseFormat] = None
    json_schema: Optional[Dict[str, Any]] = None
    grammar: Optional[StrictStr] = None
    structured_outputs: Optional[Dict[str, Any]] = None
    guided_choice: Optional[Words] = None
    guided_json: Union[Dict[str, Any], StrictStr, None] = None
    guided_regex: Optional[StrictStr] = None
    guided_grammar: Optional[StrictStr] = None
    tools: Optional[List[Any]] = None
    tool_choice: Any = None
    t_max_predict_ms: Optional[Count] = None
    deadline_s: Optional[Annotated[Number, Field(gt=0)]] = None


class Asked(Lenient):
    """One question: its prompt, and the words to choose from (an object's keys, or a list)."""

    type: Literal["choice", "noul"] = "choice"
    instructions: Annotated[StrictStr, Field(min_length=1, max_length=8192)]
    criteria: Union[Words, Annotated[Dict[str, Any], Field(max_length=256)], None] = None


class DecisionRequest(Lenient):
    """POST /v1/systemone: one picture, typed questions."""

    images: Optional[List[StrictStr]] = None
    files: Optional[List[StrictStr]] = None
    questions: Annotated[Dict[str, Asked], Field(min_length=1, max_length=16)]
    state: Any = None
    model: Optional[StrictStr] = None
    deadline_s: Optional[Annotated[Number, Field(gt=0)]] = None


def parse(kind: Type[T], body: bytes) -> T:
    """The request in this body.

    Raises:
        ApiError: 400, with the first thing that is wrong.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)  # bytes may hold half characters
        if SURROGATE.search(body):
            json.dumps(content, ensure_ascii=False).encode()  # half a character cannot be sent back, nor tokenised
    except (ValueError, RecursionError) as err:
        raise bad_request(f"the body is not JSON: {err}") from err
    if not isinstance(content, dict):
        raise bad_request("the body must be a JSON object")
    try:
        return kind.model_validate(content)
    except ValidationError as err:
        raise bad_request(_sentence(err, content)) from err


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _sentence(err: ValidationError, content: Dict[str, Any]) -> str:
    """llama.cpp's words where it has some, else the field and pydantic's words; never the value, which may be large."""
    first = err.errors(include_url=False, include_context=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if field in ("messages", "questions") and field not in content:
        return f"'{field}' is required"
    if first["loc"] == ("messages",) and first["type"] == "list_type":
        return "Expected 'messages' to be an array"
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"][1:])
    where = re.sub(r"\.(constrained-str|function-[^.\[]*|list\[.*?\]\]?|dict\[.*?\]\]?|str|int|float)", "", where)
    return f"Field '{field}{where[:80]}': {first['msg']}"
