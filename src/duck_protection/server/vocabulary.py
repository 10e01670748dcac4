"""A model's tokens as bytes: what a token says, which ones end a turn, which ones may never be said.

Works for Qwen2's kind of tokenizer (byte-level BPE), read from tokenizer.json by the tokenizers library.
Promise: the bytes of the tokens of a text, joined, are the text.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Sequence

import numpy as np
from tokenizers import Tokenizer


class Vocabulary:
    """Tokens of one model.

    Args:
        rows: How many logits the model has; rows beyond the tokenizer's ids are padding.
        ends: Ids that end a turn.
        silent: Ids that are markup of prompts and never an answer (a picture's placeholder, a turn's start).
    """

    def __init__(self, tokenizer: Tokenizer, rows: int, ends: Sequence[int], silent: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.rows = rows
        self.ends: FrozenSet[int] = frozenset(ends)
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        self.allowed = np.zeros(rows, dtype=bool)
        self.allowed[:size] = True
        self.allowed[list(silent)] = False
        letters = _byte_letters()
        markup = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()}
        self._bytes = [
            markup[i].encode() if i in markup else _bytes(tokenizer.id_to_token(i) or "", letters) for i in range(size)
        ]

    def data(self, token: int) -> bytes:
        """What a token says; nothing for a padding row and for one that ends a turn."""
        return self._bytes[token] if token < len(self._bytes) and token not in self.ends else b""

    def ids(self, text: str) -> Sequence[int]:
        """The tokens of a text in which nothing is markup."""
        self.tokenizer.encode_special_tokens = True
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def _bytes(token: str, letters: Dict[str, int]) -> bytes:
    if all(letter in letters for letter in token):
        return bytes(letters[letter] for letter in token)
    return token.encode()


def _byte_letters() -> Dict[str, int]:
    """Byte-level BPE writes each byte as one printable letter: itself where printable, else from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(0x100 + number): byte for number, byte in enumerate(others)})
    return table
