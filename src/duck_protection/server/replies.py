"""What a chat answer looks like on the wire: llama.cpp's objects, whole and in chunks.

Knows no HTTP. Promise: the same keys in the same places as in recordings of a real llama-server (docs/server.md lists
the exceptions); all chunks of one answer carry one id.
"""

from __future__ import annotations

import json
import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

from duck_protection.server.engine import Likely, Token
from duck_protection.server.scheduler import Job

FINGERPRINT = "duck_protection"
LETTERS = string.ascii_letters + string.digits


def new_id() -> str:
    """chatcmpl- and 32 letters or digits."""
    return "chatcmpl-" + "".join(secrets.choice(LETTERS) for _ in range(32))


@dataclass(frozen=True)
class Head:
    """What all objects of one answer share."""

    model: str
    id: str = field(default_factory=new_id)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: List[Dict[str, Any]], jobs: Sequence[Job]) -> Dict[str, Any]:
        """The answer to a request without stream."""
        return {
            "choices": choices,
            **self._common("chat.completion"),
            "usage": usage(jobs),
            "timings": timings(jobs[0]),
        }

    def chunk(
        self, index: int, delta: Dict[str, Any], ended: str = "", token: Optional[Token] = None
    ) -> Dict[str, Any]:
        """A piece of an answer."""
        choice: Dict[str, Any] = {"finish_reason": ended or None, "index": index, "delta": delta}
        if token is not None and token.chosen is not None:
            choice["logprobs"] = {"content": [likelihood(token)]}
        return {"choices": [choice], **self._common("chat.completion.chunk")}

    def usage_chunk(self, jobs: Sequence[Job]) -> Dict[str, Any]:
        """The last chunk when stream_options.include_usage is set."""
        return {
            "choices": [],
            **self._common("chat.completion.chunk"),
            "usage": usage(jobs),
            "timings": timings(jobs[0]),
        }

    def _common(self, kind: str) -> Dict[str, Any]:
        return {
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "object": kind,
            "id": self.id,
        }


def choice(index: int, ended: str, text: str, tokens: Sequence[Token]) -> Dict[str, Any]:
    """One answer of a request without stream."""
    out: Dict[str, Any] = {"finish_reason": ended, "index": index, "message": {"role": "assistant", "content": text}}
    measured = [likelihood(token) for token in tokens if token.chosen is not None]
    if measured:
        out["logprobs"] = {"content": measured}
    return out


def likelihood(token: Token) -> Dict[str, Any]:
    """A token with its logprob and those that could have come."""
    assert token.chosen is not None
    return {**_likely(token.chosen), "top_logprobs": [_likely(other) for other in token.likely]}


def _likely(likely: Likely) -> Dict[str, Any]:
    logprob = max(likely.logprob, -1e4)  # minus infinity is not JSON
    text = likely.data.decode("utf-8", "replace")
    return {"id": likely.id, "token": text, "bytes": list(likely.data), "logprob": logprob}


def usage(jobs: Sequence[Job]) -> Dict[str, Any]:
    """Tokens of all answers to one request; pictures count with theirs."""
    prompt, predicted = jobs[0].prompt.tokens, sum(job.tokens for job in jobs)
    return {
        "completion_tokens": predicted,
        "prompt_tokens": prompt,
        "total_tokens": prompt + predicted,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def timings(job: Job) -> Dict[str, Any]:
    """Where the time went, in llama.cpp's words. The first token counts to the prompt, as there."""
    prompt_ms = 1e3 * max(job.first_s - job.begun_s, 1e-6)
    predicted_ms = 1e3 * max(job.last_s - job.first_s, 1e-6)
    return {
        "cache_n": 0,
        "prompt_n": job.prompt.tokens,
        "prompt_ms": prompt_ms,
        "prompt_per_token_ms": prompt_ms / job.prompt.tokens,
        "prompt_per_second": 1e3 * job.prompt.tokens / prompt_ms,
        "predicted_n": job.tokens,
        "predicted_ms": predicted_ms,
        "predicted_per_token_ms": predicted_ms / max(1, job.tokens),
        "predicted_per_second": 1e3 * job.tokens / predicted_ms,
        "wait_ms": 1e3 * max(0.0, job.begun_s - job.queued_s),
    }


def event(content: Any) -> bytes:
    """A server-sent event."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "replace") + b"\n\n"


DONE = b"data: [DONE]\n\n"
