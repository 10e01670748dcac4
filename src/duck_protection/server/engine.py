"""The seam between HTTP and models: what the server needs of whatever answers.

Answers: what is a chat to a model? Turns of text and pictures go in, tokens come out. Two engines keep this seam:
torch_engine.TorchEngine (FastVLM, everything) and plain_engine.PlainEngine (any Vlm, plain text only).
Promise: an engine refuses in check() what it cannot keep; after that it keeps it or fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from duck_protection.server.errors import context_full
from duck_protection.verdict import Identity

MOST_BYTES = 16  # of text for each token of the context: tokenising holds up every thread, and text has about four


@dataclass(frozen=True)
class Turn:
    """One message: who speaks, and text and pictures in their order (uint8, (height, width, 3), RGB)."""

    role: str
    parts: Tuple[Union[str, np.ndarray], ...]


@dataclass(frozen=True)
class Prompt:
    """A whole chat as the engine reads it. `tokens` counts the pictures' tokens too; `inner` is the engine's own."""

    tokens: int
    inner: Any = field(repr=False)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; defaults are llama.cpp's. temperature 0 is greedy."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    seed: Optional[int] = None
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Tuple[Tuple[Union[int, str], float], ...] = ()


@dataclass(frozen=True)
class Constraint:
    """What the answer must be. kind: json_schema, regex, grammar (GBNF or Lark) or choice; content as it needs."""

    kind: str
    content: Any


@dataclass(frozen=True)
class Wanted:
    """What is asked of one answer, beside the prompt."""

    sampling: Sampling = Sampling()
    constraint: Optional[Constraint] = None
    top_logprobs: Optional[int] = None  # None: no logprobs at all


@dataclass(frozen=True)
class Likely:
    """A token that could have come, with its log-probability before any constraint or temperature."""

    id: int
    data: bytes
    logprob: float


@dataclass(frozen=True)
class Token:
    """What one step gave: bytes of text (often not whole characters), and the logprobs if wanted."""

    data: bytes
    chosen: Optional[Likely] = None
    likely: Tuple[Likely, ...] = ()


class Talk(Protocol):
    """One answer in the making. `ended` is empty while it goes on, then "stop" (the model or its constraint has come to
    an end), "length" (the context is full) or "broken" (no token may come, or the model failed on it)."""

    ended: str


@dataclass(frozen=True)
class Facts:
    """What the server tells about its model. Zero or empty: unknown."""

    identity: Identity
    context_tokens: int
    vocabulary: int = 0
    width: int = 0
    parameters: int = 0
    size_bytes: int = 0
    template: str = ""
    constraints: bool = False
    logprobs: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """read(), fits() and check() may run in any thread, the rest runs on the model's one thread."""

    together: int  # how many answers begin() takes at once

    @property
    def facts(self) -> Facts:
        """What there is to tell about the model."""
        ...

    def read(self, turns: Sequence[Turn]) -> Prompt:
        """The chat as tokens. Raises ApiError where this model cannot take it."""
        ...

    def fits(self, turns: Sequence[Turn]) -> None:
        """Raises ApiError where read() would."""
        ...

    def check(self, wanted: Wanted) -> Wanted:
        """The same, made ready (a compiled constraint); raises ApiError for what this engine cannot keep."""
        ...

    def begin(self, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> List[Tuple[Talk, Token]]:
        """New answers and the first token of each, in one pass for all; when one fails, none has begun."""
        ...

    def advance(self, talks: Sequence[Any]) -> List[Token]:
        """The next token of each, in one pass for all; none of them has ended. Raises only what has failed them all."""
        ...

    def end(self, talk: Any) -> None:
        """Frees what this answer held. Called exactly once for each begun."""
        ...


def check_text(turns: Sequence[Turn], context_tokens: int) -> None:
    """Raises ApiError where text is so long that it need not be tokenised to say so."""
    parts = [part for turn in turns for part in turn.parts if isinstance(part, str)]
    length = sum(len(part.encode()) for part in parts)
    if length > MOST_BYTES * context_tokens:
        raise context_full(length // MOST_BYTES, context_tokens)


def describe(facts: Facts) -> Dict[str, Any]:
    """Identity as JSON, the same words as in InferImage.srv."""
    own = facts.identity
    return {"model": own.model, "revision": own.revision, "dtype": own.dtype, "backend": own.backend}
