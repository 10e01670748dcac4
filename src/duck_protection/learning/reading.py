"""How a FastVLM in training reads a batch: pieces of its own forward pass, so that one look serves two questions.

Promise: choice_logits() are the logits that the engine would read from the same picture and question.
"""
from __future__ import annotations

from dataclasses import replace
from typing import List

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

from duck_protection.learning.lesson_batches import Batch
from duck_protection.learning.tutor import see


def hidden_states(model: FastVlmForConditionalGeneration, batch: Batch, tokens: Tensor) -> Tensor:
    """Last hidden states, shape (questions, length, width), of questions about these visual tokens."""
    seen = model.model.multi_modal_projector(tokens.flatten(2).permute(0, 2, 1))  # (batch, image tokens, width)
    read = model.get_input_embeddings()(batch.ids)
    seen = seen.to(read.dtype).repeat(len(batch.ids) // len(batch.pixels), 1, 1)
    after = batch.image_at + seen.shape[1]
    embedded = torch.cat([read[:, : batch.image_at], seen, read[:, after:]], 1)
    return model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state


def choice_logits(model: FastVlmForConditionalGeneration, batch: Batch) -> Tensor:
    """float32 logits of the verdict's token, shape (batch, vocabulary)."""
    verdicts = replace(batch, ids=batch.ids[: len(batch.pixels)])
    _, tokens = see(model.model.vision_tower.timm_model, batch.pixels)
    return model.lm_head(hidden_states(model, verdicts, tokens)[:, batch.answer_at - 1]).float()


def soft_loss(logits: Tensor, choices: Tensor, word_ids: List[int]) -> Tensor:
    """Cross-entropy against soft choices, over the whole vocabulary: mass off the choices costs too."""
    return -(choices * functional.log_softmax(logits, -1)[:, word_ids]).sum(1).mean()


def leak_loss(logits: Tensor, stops: Tensor, clear_id: int) -> Tensor:
    """What STOP frames cost besides, the more of them is read as CLEAR: -log(1 - p(Clear)), mean over the batch.

    Args:
        logits: float32, shape (batch, vocabulary).
        stops: float32, shape (batch,): how much each frame deserves STOP.
        clear_id: The token of the choice that lets the robot drive on.
    """
    others = logits.clone()
    others[:, clear_id] = -torch.inf
    return (stops * (logits.logsumexp(-1) - others.logsumexp(-1))).mean()
