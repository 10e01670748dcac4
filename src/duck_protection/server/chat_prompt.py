"""A whole chat in FastVLM's own markup (ChatML, Apple's "qwen_2"), as token ids with room for the pictures.

Promise: one picture and one question give exactly the tokens of vlm/chatml.py, so that a chat's first token and a
verdict are the same reading; nothing in a message can act as markup; a message's parts stand on lines of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
from tokenizers import Tokenizer

from duck_protection.server.engine import Turn
from duck_protection.vlm import chatml

TEMPLATE = (  # for /props; what ids() does, in the words of such files
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


@dataclass(frozen=True)
class ChatIds:
    """Token ids with placeholders, the pictures in order, and where each one's placeholders begin."""

    ids: Tuple[int, ...]
    pictures: Tuple[np.ndarray, ...]
    starts: Tuple[int, ...]


def chat_ids(tokenizer: Tokenizer, turns: Sequence[Turn], image_tokens: int) -> ChatIds:
    """The tokens up to where the answer begins."""
    start, end, image = (chatml.special_id(tokenizer, token) for token in (chatml.START, chatml.END, chatml.IMAGE))
    if not turns or turns[0].role != "system":
        turns = [Turn("system", (chatml.SYSTEM,)), *turns]
    ids: List[int] = []
    starts: List[int] = []
    for turn in turns:
        ids.append(start)
        words = f"{turn.role}\n"
        for number, part in enumerate(turn.parts):
            words += "\n" if number else ""
            if isinstance(part, str):
                words += part
                continue
            ids += chatml.plain_ids(tokenizer, words)
            words = ""
            starts.append(len(ids))
            ids += [image] * image_tokens
        ids += [*chatml.plain_ids(tokenizer, words), end, *chatml.plain_ids(tokenizer, "\n")]
    ids += [start, *chatml.plain_ids(tokenizer, "assistant\n")]
    pictures = tuple(part for turn in turns for part in turn.parts if not isinstance(part, str))
    return ChatIds(tuple(ids), pictures, tuple(starts))
