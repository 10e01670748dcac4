"""A prompt cut in three: what stands before the picture, the picture, what stands after it.

Answers: which tokens are read in which order? Picture first is Apple's own order and the default; question first puts
the question into the part that can be kept for the next frame, and was in FastVLM's training too (arXiv 2412.13303,
appendix D.1: before or after, with probability 0.5). Knows no torch.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Tuple

from duck_protection.vlm import chatml
from duck_protection.vlm.base import AnswerError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REMEMBERED = 64  # prompts: a robot asks one or two


@dataclass(frozen=True)
class Asked:
    """Token ids of a prompt, before and after its picture."""

    before: Tuple[int, ...]
    after: Tuple[int, ...]


class Prompts:
    """Cuts prompts. One thread at a time, as base.Vlm.

    Args:
        image_tokens: How many tokens a picture has.
        most_tokens: How many a whole prompt may have.
    """

    def __init__(self, tokenizer: Tokenizer, image_tokens: int, most_tokens: int, *, image_first: bool = True) -> None:
        self._tokenizer, self._image_tokens, self._most = tokenizer, image_tokens, most_tokens
        self.image_first = image_first
        self.end = chatml.special_id(tokenizer, chatml.END)
        self._known: Dict[Tuple[str, bool], Asked] = {}

    def asked(self, prompt: str, *, picture_last: bool = False) -> Asked:
        """This prompt's tokens.

        Args:
            picture_last: This one stands before its picture, whatever the others do.

        Raises:
            AnswerError: They do not fit this model.
        """
        key = (prompt, self.image_first and not picture_last)
        known = self._known.get(key)
        if known is not None:
            return known
        before, after = chatml.around(self._tokenizer, prompt, image_first=key[1])
        length = len(before) + self._image_tokens + len(after)
        if length > self._most:
            raise AnswerError(f"the prompt has {length} tokens, at most {self._most} fit this model")
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        asked = self._known[key] = Asked(tuple(before), tuple(after))
        return asked
