"""FastVLM as the server's engine: chats with several pictures, batched token by token, sampled, constrained, measured.

Shares the model's weights with whoever made it (vlm_node's FastVlm): nothing here copies or changes them.
Promise: answers in one pass do not touch each other; what check() let pass is kept; a failed begin() leaves no trace.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from tokenizers import Tokenizer

from duck_protection.server import chat_prompt, sampling
from duck_protection.server.constraints import Compiler, Kept
from duck_protection.server.engine import Constraint, Facts, Likely, Prompt, Token, Turn, Wanted, check_text
from duck_protection.server.errors import bad_request, context_full
from duck_protection.server.slot_cache import SlotCache
from duck_protection.server.vocabulary import Vocabulary
from duck_protection.vlm import chatml, pixels
from duck_protection.vlm.base import BusyError
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.torch_errors import mapped_errors

LOG = logging.getLogger(__name__)


class _Talk:
    """One answer: its slot, how it is chosen, and what came last."""

    def __init__(self, slot: int, sampler: sampling.Sampler, wanted: Wanted) -> None:
        self.slot = slot
        self.sampler = sampler
        self.kept: Optional[Kept] = wanted.constraint.content if wanted.constraint else None
        self.top_logprobs = wanted.top_logprobs
        self.last = 0
        self.ended = ""


class TorchEngine:
    """Keeps engine.Engine for FastVLM.

    Args:
        slots: Answers in the making at once.
        context_tokens: Longest chat; never more than the model was made for.
        together: Prompts (and pictures) read in one pass, at most.
    """

    def __init__(self, vlm: FastVlm, slots: int, context_tokens: int, together: int = 1) -> None:
        self.together = together
        self._vlm, self._model = vlm, vlm.checkpoint.model
        # A copy, under a lock: tokenizers raise when one thread sets a flag while another encodes.
        self._tokenizer = Tokenizer.from_str(vlm.checkpoint.tokenizer.to_str())
        self._reading = threading.Lock()
        text = self._model.config.text_config
        self._context = min(context_tokens, text.max_position_embeddings)
        weights = self._model.get_input_embeddings().weight
        self._cache = SlotCache(text, slots, self._context, weights.dtype, weights.device)
        self._free = list(range(slots))
        silent = [chatml.special_id(self._tokenizer, token) for token in (chatml.START, chatml.IMAGE)]
        ends = [chatml.special_id(self._tokenizer, token) for token in chatml.END_TOKENS]
        self._vocabulary = Vocabulary(self._tokenizer, text.vocab_size, ends, silent)
        self._compiler = Compiler(self._vocabulary)

    @property
    def facts(self) -> Facts:
        """What there is to tell about the model."""
        weights = list(self._model.parameters())
        return Facts(
            identity=self._vlm.identity,
            context_tokens=self._context,
            vocabulary=self._vocabulary.rows,
            width=int(self._model.config.text_config.hidden_size),
            parameters=sum(weight.numel() for weight in weights),
            size_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
            template=chat_prompt.TEMPLATE,
            constraints=True,
            logprobs=True,
        )

    def read(self, turns: Sequence[Turn]) -> Prompt:
        """The chat as tokens.

        Raises:
            ApiError: 400, longer than the context.
        """
        chat = self._ids(turns)
        side_px = self._vlm.checkpoint.side_px  # resized here, in the reader's thread: verdicts need the model's
        squares = tuple(pixels.with_pillow(one, side_px).permute(1, 2, 0).numpy() for one in chat.pictures)
        return Prompt(len(chat.ids), replace(chat, pictures=squares))

    def fits(self, turns: Sequence[Turn]) -> None:
        """Raises ApiError as read()."""
        self._ids(turns)

    def _ids(self, turns: Sequence[Turn]) -> chat_prompt.ChatIds:
        check_text(turns, self._context)
        with self._reading:
            chat = chat_prompt.chat_ids(self._tokenizer, turns, self._vlm.checkpoint.image_tokens)
        if len(chat.ids) >= self._context:
            raise context_full(len(chat.ids), self._context)
        return chat

    def check(self, wanted: Wanted) -> Wanted:
        """The same with its words of logit_bias as ids and its constraint compiled."""
        wanted = replace(wanted, sampling=replace(wanted.sampling, logit_bias=self._bias(wanted)))
        if wanted.constraint is None:
            return wanted
        return replace(wanted, constraint=Constraint("kept", self._compiler.compile(wanted.constraint)))

    @torch.inference_mode()
    def begin(self, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> List[Tuple[_Talk, Token]]:
        """New answers and the first token of each."""
        if len(self._free) < len(prompts):
            raise BusyError("no free slot")
        slots = [self._free.pop() for _ in prompts]
        try:
            with mapped_errors():
                logits = self._prefill(slots, [prompt.inner for prompt in prompts])
            talks = [self._talk(*pair) for pair in zip(slots, wanted)]
            return [(talk, self._safely(talk, row)) for talk, row in zip(talks, logits)]
        except BaseException:
            for slot in slots:
                self._release(slot)
            raise

    @torch.inference_mode()
    def advance(self, talks: Sequence[_Talk]) -> List[Token]:
        """The next token of each, from one pass."""
        with mapped_errors():
            ids = torch.tensor([[talk.last] for talk in talks], device=self._model.device)
            embedded = self._model.get_input_embeddings()(ids)
            logits = self._pass([talk.slot for talk in talks], embedded, [1] * len(talks))
        return [self._safely(talk, row) for talk, row in zip(talks, logits)]

    def end(self, talk: _Talk) -> None:
        """Its slot is free."""
        self._release(talk.slot)

    def _release(self, slot: int) -> None:
        self._cache.clear(slot)
        self._free.append(slot)

    def _talk(self, slot: int, wanted: Wanted) -> _Talk:
        if wanted.constraint is not None:
            wanted = replace(wanted, constraint=Constraint("kept", wanted.constraint.content.copy()))
        bias = {int(number): value for number, value in wanted.sampling.logit_bias}
        return _Talk(slot, sampling.Sampler(wanted.sampling, bias), wanted)

    def _prefill(self, slots: Sequence[int], chats: Sequence[chat_prompt.ChatIds]) -> np.ndarray:
        """Shorter chats are filled up at the end, where causal attention keeps that from mattering."""
        counts = [len(chat.ids) for chat in chats]
        ids = torch.zeros((len(chats), max(counts)), dtype=torch.long)
        for row, chat in zip(ids, chats):
            row[: len(chat.ids)] = torch.tensor(chat.ids)
        embedded = self._model.get_input_embeddings()(ids.to(self._model.device))
        places = [(row, start) for row, chat in enumerate(chats) for start in chat.starts]
        pictures = [picture for chat in chats for picture in chat.pictures]
        for first in range(0, len(pictures), self.together):
            seen = self._vlm.see(pictures[first : first + self.together])
            for (row, start), feature in zip(places[first:], seen):
                embedded[row, start : start + len(feature)] = feature.to(embedded.dtype)
        return self._pass(slots, embedded, counts)

    def _pass(self, slots: Sequence[int], embedded: torch.Tensor, counts: Sequence[int]) -> np.ndarray:
        """Logits after the last token of each, float32, (slots, vocabulary). counts: tokens of each row, the rest is
        filling."""
        positions, visible = self._cache.open(slots, embedded.shape[1])
        out = self._model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=visible,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        last = out.last_hidden_state[range(len(counts)), [count - 1 for count in counts]]
        logits = self._model.lm_head(last).float().cpu().numpy()
        self._cache.close(counts)
        return np.asarray(logits)

    def _safely(self, talk: _Talk, logits: np.ndarray) -> Token:
        """What goes wrong after the pass is the matter of one answer."""
        try:
            return self._token(talk, logits)
        except Exception:
            LOG.exception("no token could be chosen")
            talk.ended = "broken"
            return Token(b"")

    def _token(self, talk: _Talk, logits: np.ndarray) -> Token:
        vocabulary = self._vocabulary
        allowed = vocabulary.allowed
        if talk.kept is not None:
            allowed = allowed & talk.kept.allowed(vocabulary.rows)
        number = talk.sampler.choose(logits, allowed)
        if number is None or (talk.kept is not None and not talk.kept.accept(number)):
            talk.ended = "broken"
            return Token(b"")
        talk.last = number
        if number in vocabulary.ends or (talk.kept is not None and talk.kept.ended()):
            talk.ended = "stop"
        elif self._cache.length(talk.slot) >= self._context:
            talk.ended = "length"
        if talk.top_logprobs is None:
            return Token(vocabulary.data(number))
        own, likely = sampling.logprobs(logits, number, talk.top_logprobs)
        return Token(vocabulary.data(number), self._likely(number, own), tuple(self._likely(*pair) for pair in likely))

    def _likely(self, number: int, logprob: float) -> Likely:
        return Likely(number, self._vocabulary.data(number), logprob)

    def _bias(self, wanted: Wanted) -> Tuple[Tuple[int, float], ...]:
        """Added logits by id; a word's bias goes to each of its tokens, as llama.cpp does."""
        bias: Dict[int, float] = {}
        for key, value in wanted.sampling.logit_bias:
            with self._reading:
                ids = [key] if isinstance(key, int) else list(self._vocabulary.ids(key))
            if any(not 0 <= number < self._vocabulary.rows for number in ids):
                raise bad_request(f"Field 'logit_bias': no token {key}, ids go to {self._vocabulary.rows - 1}")
            bias.update(dict.fromkeys(ids, value))
        return tuple(bias.items())
