"""FastVLM in this process, with torch: one forward pass reads a verdict, token by token reads an answer.

Answers: how probable is each choice, measured on the first answer token before anything is constrained? Does not say
what that means for the robot (verdict.judge) nor who is served first (batching.Batcher). Promises: the whole picture
is seen (padded, never cropped); a batch gives each picture the reply it would have had alone; numbers that are not
numbers come out as NaN; torch's errors come out as VlmErrors. torch is imported when a model is made, not before.
"""
from __future__ import annotations

import gc
import itertools
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply, Timings
from duck_protection.vlm import chatml, sizing
from duck_protection.vlm.base import AnswerError, ChoiceError
from duck_protection.vlm.optimisations import ALL, BATCHES, Optimisations
from duck_protection.vlm.prompts import REMEMBERED, Prompts

if TYPE_CHECKING:
    from torch import Tensor

    from duck_protection.vlm.checkpoints import Checkpoint
    from duck_protection.vlm.graphs import Capture


class FastVlm:
    """A FastVLM on one device.

    Args:
        model: Folder of a checkpoint, or its name on the hub.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", or one of precision.DTYPES.
        optimisations: Shortcuts; those that mean nothing on the device are left out.
        image_first: The picture before the question, as Apple has it; a model that is asked the other way around is
            another one for thresholds, and its identity says so.
        batches: Sizes of batches that are made fast at start, on a GPU.

    Raises:
        LoadError: The model cannot be loaded; the message says what to do.
    """

    def __init__(
        self, model: str, device: str = "auto", dtype: str = "auto", optimisations: Optimisations = ALL, *,
        image_first: bool = True, batches: Sequence[int] = BATCHES,
    ) -> None:
        # Threads that spin while they wait for each other ruin every other process on a small machine, and, as soon
        # as one of them is descheduled, this one too (steps of 0.3 s took up to 10 s). Read when OpenMP starts.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with _no_garbage_collection():  # a fifth of the loading time: the imports make a million objects, all to stay
            from duck_protection.vlm.checkpoints import load_checkpoint

            checkpoint = load_checkpoint(model, device, dtype)
            self._take(checkpoint, optimisations, image_first, batches)

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, optimisations: Optimisations = ALL, *, image_first: bool = True,
        batches: Sequence[int] = BATCHES, capture: Optional[Capture] = None,
    ) -> FastVlm:
        """The same over a checkpoint that is in memory already. Its tower is changed in place: an earlier one over the
        same checkpoint, with another choice of channels_last, must not be used any more.

        Args:
            capture: As in paths.paths_of().
        """
        vlm = cls.__new__(cls)
        vlm._take(checkpoint, optimisations, image_first, batches, capture)
        return vlm

    def _take(
        self, checkpoint: Checkpoint, optimisations: Optimisations, image_first: bool, batches: Sequence[int],
        capture: Optional[Capture] = None,
    ) -> None:
        from duck_protection.vlm.paths import paths_of

        self._checkpoint, self._tokenizer, model = checkpoint, checkpoint.tokenizer, checkpoint.model
        self._text_config: Any = model.config.text_config
        self._ends = {chatml.special_id(self._tokenizer, token) for token in chatml.END_TOKENS}
        self._choice_ids: Dict[Tuple[str, ...], List[int]] = {}
        self.best_batch = sizing.USUAL  # pictures at once; measure_batches() finds out
        most = self._text_config.max_position_embeddings - 1
        self._prompts = Prompts(self._tokenizer, checkpoint.image_tokens, most, image_first=image_first)
        self._chosen = optimisations.on(str(model.device))
        self._plain, self._fast = paths_of(checkpoint, self._prompts, self._chosen, batches, capture)

    @property
    def identity(self) -> Identity:
        """The checkpoint's name, the first digits of its weights' checksum (or its hub commit), and the arithmetic."""
        backend = "fastvlm" if self._prompts.image_first else "fastvlm-question-first"
        return Identity(self._checkpoint.name, self._checkpoint.revision, self._checkpoint.dtype, backend)

    @property
    def checkpoint(self) -> Checkpoint:
        """What was loaded: for engines that share these weights (the HTTP server's)."""
        return self._checkpoint

    def see(self, frames: Sequence[np.ndarray]) -> Tensor:
        """The pictures as embeddings, shape (batch, tokens of a picture, width)."""
        return self._plain.see(frames)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """The frame as choose() would make it anyway (at the model's size, unless the device does that), so that a
        caller can do this part in a thread of its own: vlm/batching.py."""
        from duck_protection.vlm import pixels

        if self._chosen.device_pixels:
            return frame
        return pixels.with_pillow(frame, self._checkpoint.side_px).permute(1, 2, 0).numpy()

    def check_choices(self, words: Sequence[str]) -> None:
        """Raises ChoiceError unless every word is one token of its own."""
        self._ids_of(tuple(words))

    def warm_up(self, prompt: str = "Is the road clear?", only: Sequence[str] = ()) -> float:
        """One verdict on a made-up picture, so that the first real one is not the slow one, and on a GPU the graphs;
        seconds it took.

        Args:
            only: Prompts whose lengths get graphs; none: every usual length does.

        Raises:
            MemoryFullError: Not even one verdict fits.
        """
        from duck_protection.vlm.torch_errors import mapped_errors

        began_s = time.monotonic()
        picture = np.arange(480 * 640 * 3, dtype=np.uint32).reshape(480, 640, 3) % 251
        with mapped_errors():
            self._path.logits([picture.astype(np.uint8)], [self._prompts.asked(prompt)])
            if self._fast is not None:
                self._fast.warm_up(prompt, [self._prompts.asked(one) for one in only])
        return time.monotonic() - began_s

    def measure_batches(self, most: int) -> Dict[int, float]:
        """Seconds of each picture in batches up to this size, by size; best_batch is one of them from now on. In about
        two seconds, and on a CPU of the process's own time."""
        from duck_protection.vlm.torch_errors import mapped_errors

        asked, drawn = self._prompts.asked("Is the road clear?"), np.random.default_rng(0).integers
        frames = itertools.cycle([  # more than are kept, and made ready as a Batcher's callers do it
            self.prepare(drawn(0, 255, (480, 640, 3), dtype=np.uint8)) for _ in range(most + 8)
        ])  # fmt: skip

        def run(size: int) -> None:
            with mapped_errors():
                float(self._path.logits(list(itertools.islice(frames, size)), [asked] * size)[1].sum())

        spent = time.process_time if self._checkpoint.model.device.type == "cpu" else time.perf_counter
        measured = sizing.picture_s(run, most, spent)
        self.best_batch = sizing.best(measured)
        return measured

    @property
    def _path(self) -> Any:
        return self._plain if self._fast is None else self._fast

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply per (frame, question) pair, from one forward pass for all; shapes as in base.Vlm.choose().

        Raises:
            ChoiceError: A question's words are no single tokens. MemoryFullError: try fewer. AnswerError: torch failed.
        """
        from duck_protection.vlm.measuring import measure
        from duck_protection.vlm.torch_errors import mapped_errors

        if not frames or len(frames) != len(questions):
            raise AnswerError(f"{len(frames)} frames for {len(questions)} questions")
        offered = [self._ids_of(question.words) for question in questions]
        asked = [self._prompts.asked(one.prompt, picture_last=one.picture_last) for one in questions]
        began_s = time.monotonic()
        with mapped_errors():
            states, logits = self._path.logits(frames, asked)
            head = self._checkpoint.model.lm_head.weight if self._chosen.exact_rows else None
            measured = measure(logits, offered, states, head)
        timings = Timings(infer_ms=1e3 * (time.monotonic() - began_s))
        return [
            Reply(one.probabilities, one.off_mass, self._text(one.likeliest), self.identity, timings)
            for one in measured
        ]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """The greedy answer to a free question: one piece of text per token, empty while a character is incomplete.

        Raises:
            MemoryFullError, AnswerError: As choose().
        """
        from tokenizers.decoders import DecodeStream
        from transformers.cache_utils import DynamicCache

        from duck_protection.vlm.torch_errors import mapped_errors

        asked = self._prompts.asked(prompt)
        cache, stream = DynamicCache(config=self._text_config), DecodeStream(skip_special_tokens=True)
        with mapped_errors():
            embedded = self._plain.embed([frame], [asked])
        room = self._text_config.max_position_embeddings - embedded.shape[1]
        for _ in range(min(max_tokens, room)):
            with mapped_errors():
                token, embedded = self._plain.next_token(embedded, cache)
            if token in self._ends:
                return
            yield stream.step(self._tokenizer, token) or ""

    def _ids_of(self, words: Tuple[str, ...]) -> List[int]:
        if words not in self._choice_ids:
            tokens = [chatml.plain_ids(self._tokenizer, word) for word in words]
            longer = [word for word, ids in zip(words, tokens) if len(ids) != 1]
            if not words or longer:
                raise ChoiceError(f"choices must be single tokens of {self._checkpoint.name}, not: {longer or 'none'}")
            if len({ids[0] for ids in tokens}) != len(words):
                raise ChoiceError(f"choices must be distinct, are {list(words)}")
            if len(self._choice_ids) >= REMEMBERED:
                self._choice_ids.clear()
            self._choice_ids[words] = [ids[0] for ids in tokens]
        return self._choice_ids[words]

    def _text(self, token: int) -> str:
        return str(self._tokenizer.decode([token], skip_special_tokens=False))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
