"""What OpenAI-compatible servers say, and what of it is believed: models, first tokens, deltas, refusals.

Pure, light and Python 3.8. Promise: any JSON whatsoever gives a value of the declared kind or raises a VlmError; no
exact status code and no message text decides anything, because builds of the same server differ in both.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from duck_protection.verdict import Identity
from duck_protection.vlm.base import AnswerError, BusyError, NotReadyError, VlmError
from duck_protection.vlm.bounded_http import HttpReply


def read_choices(likely: Sequence[Tuple[str, float]], words: Sequence[str]) -> Tuple[Tuple[float, ...], float, str]:
    """Probabilities of the words among themselves, the mass off them, and the likeliest token.

    Args:
        likely: Tokens and their probabilities. Exactly the word counts: " Stop" and "stop" are other answers.
    """
    masses = [sum(mass for token, mass in likely if token == word) for word in words]
    best = max(likely, key=lambda pair: pair[1])[0]
    total = sum(masses)
    if not 0 < total <= 1.001:
        return tuple([1 / len(words)] * len(words)), 1.0, best
    return tuple(mass / total for mass in masses), max(0.0, 1 - total), best


def first_token(content: Dict[str, Any]) -> Optional[List[Tuple[str, float]]]:
    """The first token's alternatives with their probabilities; None if the server gave none."""
    try:
        measured = (content["choices"][0].get("logprobs") or {}).get("content") or []
        top = measured[0]["top_logprobs"] if measured else []
        likely = [(str(entry["token"]), math.exp(float(entry["logprob"]))) for entry in top]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as err:
        raise AnswerError(f"the server's answer cannot be understood: {type(err).__name__}") from err
    if not all(0 <= mass <= 1.001 for _, mass in likely):  # NaN fails too
        raise AnswerError("the server gave a probability that is none")
    return likely or None


def identity_in(content: Dict[str, Any], wanted: str) -> Identity:
    """The model of this name (or the first) in a reply of /v1/models."""
    try:
        names = [(entry["id"], *entry.get("aliases", ())) for entry in content["data"]]
        listed = [entry for entry, known in zip(content["data"], names) if not wanted or wanted in known]
        if not listed:
            there = ", ".join(str(known[0]) for known in names[:8])
            raise AnswerError(f"there is no model {wanted!r}; there is {there or 'none'}")
        meta = listed[0].get("meta") or {}
        revision = meta.get("revision") or f"{meta.get('n_params', 'unknown')}-{meta.get('size', 'unknown')}"
        dtype = meta.get("dtype") or meta.get("ftype") or "unknown"
        return Identity(str(listed[0]["id"]), str(revision), str(dtype), "remote")
    except (KeyError, TypeError, AttributeError) as err:
        raise AnswerError("its list of models cannot be understood: is this an OpenAI-compatible server?") from err


def parsed(data: bytes) -> Dict[str, Any]:
    """The JSON object; an error in it is an AnswerError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise AnswerError("the server's answer is not JSON") from err
    if not isinstance(content, dict) or "error" in content:
        raise AnswerError("the server answered with an error in the middle")
    return content


def delta(content: Dict[str, Any]) -> str:
    """The text in a chunk of a stream."""
    try:
        return "".join(str(choice["delta"].get("content") or "") for choice in content.get("choices", []))
    except (KeyError, TypeError, AttributeError) as err:
        raise AnswerError(f"the server's stream cannot be understood: {type(err).__name__}") from err


def ended(content: Dict[str, Any]) -> bool:
    """Whether a chunk that delta() could read says why the answer has ended."""
    return any(choice.get("finish_reason") for choice in content.get("choices", []))


def refusal(reply: HttpReply) -> VlmError:
    """By status and type alone: messages and exact codes differ between builds of the same server."""
    try:
        message = str(json.loads(reply.body)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = f"status {reply.status}"
    if reply.status in (401, 403):
        return AnswerError(f"the server refuses the key ({message})")
    if reply.status == 503:
        return NotReadyError(message) if "oading" in message else BusyError(message)
    if reply.status == 429:
        return BusyError(message)
    return AnswerError(f"the server refuses: {message}")
