"""What an answer must be, kept token by token: choices, JSON schemas, regular expressions and grammars.

The work is done by llguidance, which llama.cpp and vLLM use too. Promise: compile() refuses with 400 whatever cannot
be kept, in words; an answer under a compiled constraint is at every step the beginning of one that fits, and ended()
says when nothing more can follow.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Sequence

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark

from duck_protection.server.engine import Constraint
from duck_protection.server.errors import bad_request
from duck_protection.server.vocabulary import Vocabulary

LIMITS = LLParserLimits(max_grammar_size=100_000, initial_lexer_fuel=500_000)  # hostile schemas end in 400 at once


class Compiler:
    """Makes constraints for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        text = vocabulary.tokenizer.to_str()
        ends = sorted(vocabulary.ends)
        self._tokenizer = LLTokenizer(text, n_vocab=vocabulary.rows, eos_token=ends)

    def compile(self, constraint: Constraint) -> Kept:
        """The constraint ready for one answer.

        Raises:
            ApiError: 400, it cannot be kept; the message is llguidance's.
        """
        try:
            grammar = GRAMMARS[constraint.kind](constraint.content)
        except (ValueError, TypeError, RecursionError, GbnfToLarkError) as err:
            raise bad_request(f"the {constraint.kind} constraint cannot be read: {err}") from err
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=LIMITS)
        troubles = [matcher.get_error()] if matcher.is_error() else matcher.get_grammar_warnings()
        if troubles:
            raise bad_request(f"the {constraint.kind} constraint cannot be kept: {troubles[0][:500]}")
        return Kept(matcher)


class Kept:
    """A constraint and how far one answer has come under it."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def copy(self) -> Kept:
        """As it was before the answer began; for several answers to one request."""
        return Kept(self._matcher.deep_copy())

    def allowed(self, rows: int) -> np.ndarray:
        """bool, (rows,): what may come next."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[:rows].astype(bool)

    def accept(self, token: int) -> bool:
        """Takes the token that came; False when the grammar has become too complex to go on."""
        return bool(self._matcher.consume_token(token))

    def ended(self) -> bool:
        """Whether nothing but the end of the turn can follow."""
        return bool(self._matcher.is_stopped())


def _schema(content: Any) -> str:
    if not isinstance(content, dict):
        raise ValueError("the schema must be an object")
    return str(LLMatcher.grammar_from_json_schema(json.dumps(content), defaults={"whitespace_flexible": False}))


def _choice(words: Sequence[str]) -> str:
    """Any of these strings, each exactly."""
    return str(LLMatcher.grammar_from_lark("start: " + " | ".join(json.dumps(word) for word in words)))


def _lark(text: str) -> str:
    return str(LLMatcher.grammar_from_lark(any_to_lark(text)))


GRAMMARS: Dict[str, Callable[[Any], str]] = {
    "json_schema": _schema,
    "choice": _choice,
    "regex": lambda text: str(LLMatcher.grammar_from_regex(text)),
    "grammar": _lark,
}
