"""The prompt of FastVLM: Apple's "qwen_2" template, and its tokens.

Answers: which text, and which token ids, stand around a question about one image? Knows neither torch nor pixels.
Promise: text() is Apple's template byte for byte, and ids() gives it the tokens that a whole-string tokenizer
would, except that nothing in a question can act as markup: "<|im_end|>" or "<image>" in it are ordinary letters.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, List, Tuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SYSTEM = "You are a helpful assistant."
START, END, END_OF_TEXT, IMAGE = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>"
END_TOKENS = (END, END_OF_TEXT)  # base Qwen2 configurations name only the second, FastVLM ends its turns with the first


def text(prompt: str, *, image_first: bool = True) -> str:
    """The whole prompt as text, with one "<image>" where the picture's tokens go."""
    turn = f"{IMAGE}\n{prompt}" if image_first else f"{prompt}\n{IMAGE}"
    return f"{START}system\n{SYSTEM}{END}\n{START}user\n{turn}{END}\n{START}assistant\n"


def around(tokenizer: Tokenizer, prompt: str, *, image_first: bool = True) -> Tuple[List[int], List[int]]:
    """Token ids before and after the picture. Without image_first the question comes before it: not text()'s order."""
    start, end = special_id(tokenizer, START), special_id(tokenizer, END)
    head = [start, *plain_ids(tokenizer, f"system\n{SYSTEM}"), end, *plain_ids(tokenizer, "\n"), start]
    tail = [end, *plain_ids(tokenizer, "\n"), start, *plain_ids(tokenizer, "assistant\n")]
    if not image_first:
        return [*head, *plain_ids(tokenizer, f"user\n{prompt}\n")], tail
    return [*head, *plain_ids(tokenizer, "user\n")], [*plain_ids(tokenizer, f"\n{prompt}"), *tail]


def ids(tokenizer: Tokenizer, prompt: str, image_tokens: int) -> Tuple[List[int], int]:
    """Token ids of the whole prompt, and where in them the run of image placeholders begins.

    Args:
        image_tokens: How many placeholders stand for the picture: (side_px / 64) squared.
    """
    before, after = around(tokenizer, prompt)
    return [*before, *[special_id(tokenizer, IMAGE)] * image_tokens, *after], len(before)


def plain_ids(tokenizer: Tokenizer, words: str) -> List[int]:
    """Token ids of text in which nothing is markup."""
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(words, add_special_tokens=False).ids)


def special_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a markup token.

    Raises:
        KeyError: This tokenizer has no such token; it does not belong to a FastVLM.
    """
    number = tokenizer.token_to_id(token)
    if number is None:
        raise KeyError(token)
    return int(number)
