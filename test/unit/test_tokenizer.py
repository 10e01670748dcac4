"""The duckling's tokenizer: every text comes back, choices are single tokens, and nothing depends on chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from duck_protection.learning import lessons
from duck_protection.learning.tokenizer import MOST_TOKENS, SPECIALS, make_tokenizer
from duck_protection.vlm import chatml

WORDS = ("Clear", "Slow", "Stop")
PROMPTS = ("Is a duck in your lane? Answer Stop, Slow or Clear.", *lessons.corpus())
TOKENIZER = make_tokenizer(PROMPTS, WORDS)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(chatml.plain_ids(TOKENIZER, text), skip_special_tokens=False) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*SPECIALS, "<", "|>", "duck", " ", "\n"])).map("".join))
def test_markup_in_plain_text_is_letters(text: str) -> None:
    ids = chatml.plain_ids(TOKENIZER, text)
    assert not set(ids) & {chatml.special_id(TOKENIZER, token) for token in SPECIALS}
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=60))
def test_prompt_tokens_are_those_of_the_whole_string(prompt: str) -> None:
    """Apple's code splits the prompt at the image and hands each half to the tokenizer whole."""
    ids, image_at = chatml.ids(TOKENIZER, prompt, 4)
    TOKENIZER.encode_special_tokens = False
    before, after = chatml.text(prompt).split(chatml.IMAGE)
    assert ids[:image_at] == TOKENIZER.encode(before).ids
    assert ids[image_at + 4 :] == TOKENIZER.encode(after).ids


def test_choices_are_single_tokens_and_the_vocabulary_is_small() -> None:
    assert {len(chatml.plain_ids(TOKENIZER, word)) for word in WORDS} == {1}
    assert TOKENIZER.get_vocab_size() <= MOST_TOKENS


def test_the_same_corpus_gives_the_same_file(tmp_path: Path) -> None:
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    assert make_tokenizer(PROMPTS, WORDS).to_str() == Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str()


def test_a_word_that_cannot_be_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match="not one token"):
        make_tokenizer(PROMPTS, ("Clear", "two words"))


def test_a_tokenizer_without_markup_is_noticed() -> None:
    with pytest.raises(KeyError, match="image"):
        chatml.special_id(Tokenizer.from_str(TOKENIZER.to_str().replace("<image>", "<picture>")), chatml.IMAGE)
