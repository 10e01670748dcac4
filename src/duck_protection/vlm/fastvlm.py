"""FastVLM in this process, with torch: one forward pass reads a verdict, token by token reads an answer.

Answers: how probable is each choice, measured on the first answer token before anything is constrained? Does not say
what that means for the robot (verdict.judge) nor who is served first (batching.Batcher). Promises: the whole picture
is seen (padded, never cropped); a batch gives each picture the reply it would have had alone; numbers that are not
numbers come out as NaN; torch's errors come out as VlmErrors. torch is imported when a model is made, not before.
"""
from __future__ import annotations

import functools
import gc
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple, Type

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply, Timings
from duck_protection.vlm import chatml, pixels
from duck_protection.vlm.base import AnswerError, ChoiceError, MemoryFullError

if TYPE_CHECKING:
    from torch import Tensor

    from duck_protection.vlm.checkpoints import Checkpoint


class FastVlm:
    """A FastVLM on one device.

    Args:
        model: Folder of a checkpoint, or its name on the hub.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "float32", "bfloat16" or "float16".

    Raises:
        LoadError: The model cannot be loaded; the message says what to do.
    """

    def __init__(self, model: str, device: str = "auto", dtype: str = "auto") -> None:
        # Threads that spin while they wait for each other ruin every other process on a small machine, and, as soon
        # as one of them is descheduled, this one too (steps of 0.3 s took up to 10 s). Read when OpenMP starts.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with _no_garbage_collection():  # a fifth of the loading time: the imports make a million objects, all to stay
            from duck_protection.vlm.checkpoints import load_checkpoint

            self._checkpoint = load_checkpoint(model, device, dtype)
        self._model, self._tokenizer = self._checkpoint.model, self._checkpoint.tokenizer
        self._text_config: Any = self._model.config.text_config
        self._ends = {chatml.special_id(self._tokenizer, token) for token in chatml.END_TOKENS}
        self._choice_ids: Dict[Tuple[str, ...], List[int]] = {}
        self._reading = threading.Lock()  # tokenizers raise when one thread sets a flag while another encodes

    @property
    def identity(self) -> Identity:
        """The checkpoint's name, the first digits of its weights' checksum (or its hub commit), and the arithmetic."""
        return Identity(self._checkpoint.name, self._checkpoint.revision, self._checkpoint.dtype, "fastvlm")

    @property
    def checkpoint(self) -> Checkpoint:
        """What was loaded: for engines that share these weights (the HTTP server's)."""
        return self._checkpoint

    def see(self, frames: Sequence[np.ndarray]) -> Tensor:
        """The pictures as embeddings, shape (batch, tokens of a picture, width)."""
        import torch

        with _inference():
            squares = torch.stack([pixels.with_pillow(frame, self._checkpoint.side_px) for frame in frames])
            looked_at = squares.to(self._model.device).to(self._model.dtype).div_(255)
            seen: Tensor = self._model.get_image_features(looked_at).pooler_output
            return seen

    def check_choices(self, words: Sequence[str]) -> None:
        """Raises ChoiceError unless every word is one token of its own."""
        self._ids_of(tuple(words))

    def warm_up(self) -> float:
        """One verdict on a made-up picture, so that the first real one is not the slow one; seconds it took."""
        began_s = time.monotonic()
        picture = np.arange(480 * 640 * 3, dtype=np.uint32).reshape(480, 640, 3) % 251
        with mapped_errors():
            self._first_logits([picture.astype(np.uint8)], ["Is the road clear?"])
        return time.monotonic() - began_s

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply per (frame, question) pair, from one forward pass for all; shapes as in base.Vlm.choose(). Several
        threads may be in here at once (vlm/cores.py).

        Raises:
            ChoiceError: A question's words are no single tokens. MemoryFullError: try fewer. AnswerError: torch failed.
        """
        if not frames or len(frames) != len(questions):
            raise AnswerError(f"{len(frames)} frames for {len(questions)} questions")
        offered = [self._ids_of(question.words) for question in questions]
        began_s = time.monotonic()
        with mapped_errors():
            logits = self._first_logits(frames, [question.prompt for question in questions])
            measured = [_measure(row, ids) for row, ids in zip(logits, offered)]
            likeliest = logits.argmax(-1).tolist()
        timings = Timings(infer_ms=1e3 * (time.monotonic() - began_s))
        return [
            Reply(probabilities, off_mass, self._text(best), self.identity, timings)
            for (probabilities, off_mass), best in zip(measured, likeliest)
        ]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """The greedy answer to a free question: one piece of text per token, empty while a character is incomplete.

        Raises:
            MemoryFullError, AnswerError: As choose().
        """
        from tokenizers.decoders import DecodeStream
        from transformers.cache_utils import DynamicCache

        ids, image_at = self._asked(prompt)
        cache, stream = DynamicCache(config=self._text_config), DecodeStream(skip_special_tokens=True)
        room = self._text_config.max_position_embeddings - len(ids)
        with mapped_errors():
            embedded = self._embed([frame], [ids], image_at)
        for _ in range(min(max_tokens, room)):
            with mapped_errors():
                token, embedded = self._next_token(embedded, cache)
            if token in self._ends:
                return
            yield stream.step(self._tokenizer, token) or ""

    def _next_token(self, embedded: Tensor, cache: Any) -> Tuple[int, Tensor]:
        """The likeliest next token after these embeddings, and its own embedding."""
        with _inference():
            hidden = self._model.model.language_model(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
            best = self._model.lm_head(hidden.last_hidden_state[:, -1]).float().argmax(-1)
            return int(best), self._model.get_input_embeddings()(best[:, None])

    def _first_logits(self, frames: Sequence[np.ndarray], prompts: Sequence[str]) -> Tensor:
        """float32 logits of the first answer token, shape (batch, vocabulary). Shorter prompts are filled up at the
        end, where causal attention keeps them from mattering, so that no mask is needed."""
        asked = [self._asked(prompt) for prompt in prompts]
        rows, image_at = [ids for ids, _ in asked], asked[0][1]
        with _inference():
            embedded = self._embed(frames, rows, image_at)
            hidden = self._model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
            last = [len(ids) - 1 for ids in rows]
            logits: Tensor = self._model.lm_head(hidden[range(len(rows)), last])
            return logits.float()

    def _asked(self, prompt: str) -> Tuple[List[int], int]:
        """The prompt's tokens, and where in them the picture begins."""
        with self._reading:
            ids, image_at = chatml.ids(self._tokenizer, prompt, self._checkpoint.image_tokens)
        most = self._text_config.max_position_embeddings - 1
        if len(ids) > most:
            raise AnswerError(f"the prompt has {len(ids)} tokens, at most {most} fit this model")
        return ids, image_at

    def _embed(self, frames: Sequence[np.ndarray], rows: Sequence[List[int]], image_at: int) -> Tensor:
        """Text and picture embeddings, shape (batch, longest row, width)."""
        import torch

        longest, end = max(map(len, rows)), min(self._ends)
        ids = torch.tensor([[*row, *[end] * (longest - len(row))] for row in rows], device=self._model.device)
        with _inference():
            seen = self.see(frames)
            embedded: Tensor = self._model.get_input_embeddings()(ids)
            embedded[:, image_at : image_at + seen.shape[1]] = seen.to(embedded.dtype)
            return embedded

    def _ids_of(self, words: Tuple[str, ...]) -> List[int]:
        if words not in self._choice_ids:
            with self._reading:
                tokens = [chatml.plain_ids(self._tokenizer, word) for word in words]
            longer = [word for word, ids in zip(words, tokens) if len(ids) != 1]
            if not words or longer:
                raise ChoiceError(f"choices must be single tokens of {self._checkpoint.name}, not: {longer or 'none'}")
            if len({ids[0] for ids in tokens}) != len(words):
                raise ChoiceError(f"choices must be distinct, are {list(words)}")
            self._choice_ids[words] = [ids[0] for ids in tokens]
        return self._choice_ids[words]

    def _text(self, token: int) -> str:
        with self._reading:
            return str(self._tokenizer.decode([token], skip_special_tokens=False))


def _measure(logits: Tensor, ids: List[int]) -> Tuple[Tuple[float, ...], float]:
    """Probabilities of the choices among themselves, and the mass off them, from one row of float32 logits."""
    probabilities = logits[ids].softmax(-1).tolist()
    off_mass = 1.0 - float(logits.softmax(-1)[ids].sum())
    return tuple(probabilities), off_mass if off_mass != off_mass else min(1.0, max(0.0, off_mass))


@functools.lru_cache(maxsize=None)
def _memory_errors() -> Tuple[Type[BaseException], ...]:
    import torch

    return (torch.OutOfMemoryError, MemoryError)


def _inference() -> Any:
    import torch

    return torch.inference_mode()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turns torch's errors into VlmErrors, where they arise."""
    import torch

    error: Optional[BaseException] = None
    try:
        yield
    except _memory_errors() as err:
        error = err
    except RuntimeError as err:
        if "alloc" not in str(err):  # "DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED"
            raise AnswerError(f"the model failed: {err}") from err
        error = err
    if error is not None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryFullError(f"the device is out of memory: {error}") from error
