"""The duckling's own tokenizer: byte-level BPE with Qwen2's markup, small enough for a model of a few million numbers.

Answers: which tokens does the duckling read and write? Promise: any text round-trips (bytes are the alphabet, nothing
is normalised), the words a question offers are single tokens, there are at most 1,024 tokens, and the same corpus
gives the same file. The engine reads the file as it reads Qwen2's: no code of ours is needed to load it.
"""
from __future__ import annotations

from typing import Iterable, List, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from duck_protection.vlm import chatml

MOST_TOKENS = 1024
SPECIALS = (chatml.END_OF_TEXT, chatml.START, chatml.END, chatml.IMAGE)
# Qwen2's own rule for where words begin (transformers, models/qwen2/tokenization_qwen2.py)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TALK = (
    "A rubber duck stands in the lane. The road is clear. No duck is near. There are ducks on the grass.",
    "Yes, I see one yellow duck on the right. No, I do not see a duck on the left. I am a small robot on a toy road.",
    "What do you see? What is in front of you? Where is the duck? Describe the picture. Is it safe to drive?",
    "The white line, the yellow line, the tiles, the curve, the crossing, the other lane, the wall and the sky.",
)


def make_tokenizer(prompts: Iterable[str], words: Sequence[str]) -> Tokenizer:
    """A tokenizer for these prompts and answers, in which each of the words is one token.

    Raises:
        ValueError: A word did not become one token; there are too many of them for MOST_TOKENS.
    """
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_TOKENS,
        min_frequency=2,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(prompts, words), trainer)
    for word in words:
        if len(chatml.plain_ids(tokenizer, word)) != 1:
            raise ValueError(f"{word!r} is not one token in a vocabulary of {MOST_TOKENS}")
    return tokenizer


def _corpus(prompts: Iterable[str], words: Sequence[str]) -> List[str]:
    """Everything twice (a merge needs two occurrences); words oftenest, so that they merge first."""
    turns = [chatml.SYSTEM, "system\n", "user\n", "assistant\n", *prompts, *TALK]
    return 2 * turns + 50 * list(words)
