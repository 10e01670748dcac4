"""Tiny FastVLMs made on the spot: the real classes at toy sizes, with random weights or with a mind of our making."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Sequence

import torch
from tokenizers import Tokenizer
from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

from duck_protection.learning.shipping import save_model
from duck_protection.learning.thin import Sizes, thin_config
from duck_protection.learning.tokenizer import make_tokenizer
from duck_protection.question import Question
from duck_protection.vlm import chatml

SIZES = Sizes(side_px=128, layers=(1, 1, 1, 1, 1), widths=(8, 8, 16, 32, 32), mlp_ratio=1, text_layers=1, text_width=64)
MEASURED = {"step": 0, "right": 0.0, "stop_said_clear": 0}
PLAN = {"steps": 0, "batch": 1, "seed": 1, "sizes": {"side_px": SIZES.side_px}}


def tiny_tokenizer(question: Question) -> Tokenizer:
    return make_tokenizer([question.prompt], question.words)


def tiny_model(
    tokenizer: Tokenizer, *, tied: bool = True, text_layers: int = SIZES.text_layers
) -> FastVlmForConditionalGeneration:
    """Random weights, always the same ones; layer scales of 1, so that the picture matters from the start."""
    torch.manual_seed(3)
    config = thin_config(tokenizer, replace(SIZES, text_layers=text_layers))
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = tied
    model = FastVlmForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("gamma"):
                value.fill_(1.0)
            elif value.ndim >= 2:
                value.normal_(std=value[0].numel() ** -0.5)
    return model


def saved(model: FastVlmForConditionalGeneration, tokenizer: Tokenizer, question: Question, folder: Path) -> Path:
    save_model(model, tokenizer, question, PLAN, MEASURED, folder)
    return folder


def talking_model(tokenizer: Tokenizer, tokens: Sequence[int]) -> FastVlmForConditionalGeneration:
    """Says exactly these (distinct) tokens, whatever it sees: its layers add nothing, and each token calls the next."""
    model = tiny_model(tokenizer, tied=False)
    newline = chatml.plain_ids(tokenizer, "\n")[-1]  # the last token of every prompt
    with torch.no_grad():
        for name, value in model.model.language_model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                value.zero_()
        model.model.language_model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for place, (before, after) in enumerate(zip([newline, *tokens], tokens)):
            model.model.language_model.embed_tokens.weight[before, place] = 1.0
            model.lm_head.weight[after, place] = 10.0
    return model


def poisoned(model: FastVlmForConditionalGeneration, value: Optional[float] = None) -> FastVlmForConditionalGeneration:
    """A model whose last norm multiplies by NaN (or by value)."""
    with torch.no_grad():
        model.model.language_model.norm.weight.fill_(float("nan") if value is None else value)
    return model
