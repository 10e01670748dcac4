"""The seam between verdicts and models: what a vision-language model must offer, and how it may fail.

Light and Python 3.8, so that the robot can import it. Every backend maps its library's errors onto this tree
where they arise; callers catch VlmError and nothing wider.

    VlmError
    ├── LoadError          checkpoint missing, broken or of another kind: say so and do not start
    ├── ChoiceError        choices that are no single distinct tokens: fix the question
    ├── LateError          the deadline passed before the model ran: drop it
    ├── BusyError          the queue is full: try again with a newer frame
    ├── NotReadyError      still loading
    ├── MemoryFullError    out of memory on this call; the model lives on
    └── AnswerError        the model or server answered something unusable
        └── DeviceLostError    and always will: only a new process can go on
"""
from __future__ import annotations

from typing import Iterator, Protocol, Sequence

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply


class VlmError(Exception):
    """Anything a model can fail with."""


class LoadError(VlmError):
    """The checkpoint cannot be loaded; the message says what to do."""


class ChoiceError(VlmError):
    """The offered choices are not distinct single tokens of this model's vocabulary."""


class LateError(VlmError):
    """The request's deadline passed in the queue."""


class BusyError(VlmError):
    """The queue is full."""


class NotReadyError(VlmError):
    """The model is still loading."""


class MemoryFullError(VlmError):
    """The device ran out of memory on this call."""


class AnswerError(VlmError):
    """The model or the server answered something that cannot be used."""


class DeviceLostError(AnswerError):
    """The device answers this process no more."""


class Vlm(Protocol):
    """A vision-language model. Not thread-safe: batching.Batcher gives it one thread."""

    @property
    def identity(self) -> Identity:
        """Which eyes these are."""
        ...

    def check_choices(self, words: Sequence[str]) -> None:
        """Raises ChoiceError unless every word is one token of its own."""
        ...

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply per (frame, question) pair, from one forward pass for all.

        Args:
            frames: uint8 arrays, shape (height, width, 3), RGB order; sizes may differ.
            questions: As many as frames.
        """
        ...

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """The answer to a free question, greedily, a piece of text per token; stop iterating to end it."""
        ...
