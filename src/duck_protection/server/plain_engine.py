"""Any Vlm as the server's engine: one picture, one question, the model's own greedy text.

For the scripted model and for backends that give text alone. Promise: what generate() cannot keep (constraints,
logprobs, several pictures) is refused with 400; sampling parameters are wishes, and a greedy answer grants them all.
"""

from __future__ import annotations

import logging
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from duck_protection.server.engine import Facts, Prompt, Token, Turn, Wanted, check_text
from duck_protection.server.errors import bad_request, context_full
from duck_protection.vlm.base import DeviceLostError, Vlm

LOG = logging.getLogger(__name__)
MOST_TOKENS = 4096  # of an answer without max_tokens; generate() wants a number
BLANK = np.zeros((64, 64, 3), dtype=np.uint8)  # generate() wants a picture


class _Talk:
    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces
        self.ended = ""


class PlainEngine:
    """Keeps engine.Engine for what has only generate().

    Args:
        context_tokens: Words (a rough count of tokens) that prompt and answer may have.
    """

    together = 1

    def __init__(self, vlm: Vlm, context_tokens: int) -> None:
        self._vlm = vlm
        self._context = context_tokens

    @property
    def facts(self) -> Facts:
        """Only the identity is known."""
        return Facts(identity=self._vlm.identity, context_tokens=self._context)

    def read(self, turns: Sequence[Turn]) -> Prompt:
        """The last picture and all text; tokens are estimated as words.

        Raises:
            ApiError: 400, several pictures, or too long.
        """
        check_text(turns, self._context)
        pictures = [part for turn in turns for part in turn.parts if not isinstance(part, str)]
        text = "\n".join(part for turn in turns for part in turn.parts if isinstance(part, str))
        if len(pictures) > 1:
            raise bad_request(f"{self._vlm.identity.backend} takes one image, not {len(pictures)}")
        tokens = len(text.split()) + 1
        if tokens >= self._context:
            raise context_full(tokens, self._context)
        return Prompt(tokens, (pictures[-1] if pictures else BLANK, text))

    def fits(self, turns: Sequence[Turn]) -> None:
        """Raises ApiError as read()."""
        self.read(turns)

    def check(self, wanted: Wanted) -> Wanted:
        """The same, when it is text alone."""
        if wanted.constraint is not None:
            raise bad_request(f"{self._vlm.identity.backend} cannot keep a {wanted.constraint.kind} constraint")
        if wanted.top_logprobs is not None:
            raise bad_request(f"{self._vlm.identity.backend} gives no logprobs")
        return wanted

    def begin(self, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> List[Tuple[_Talk, Token]]:
        """A new answer and its first piece."""
        del wanted
        (prompt,) = prompts
        frame, text = prompt.inner
        talk = _Talk(iter(self._vlm.generate(frame, text, min(MOST_TOKENS, self._context - prompt.tokens))))
        return [(talk, _next(talk))]

    def advance(self, talks: Sequence[_Talk]) -> List[Token]:
        """The next piece of each; one that fails is broken, and the others go on."""
        return [_safely(talk) for talk in talks]

    def end(self, talk: _Talk) -> None:
        """Stops the generation."""
        close = getattr(talk.pieces, "close", None)
        if close is not None:
            close()


def _safely(talk: _Talk) -> Token:
    try:
        return _next(talk)
    except DeviceLostError:
        raise
    except Exception:
        LOG.exception("an answer broke off")
        talk.ended = "broken"
        return Token(b"")


def _next(talk: _Talk) -> Token:
    piece = next(talk.pieces, None)
    if piece is None:
        talk.ended = "stop"
        return Token(b"")
    return Token(piece.encode())
