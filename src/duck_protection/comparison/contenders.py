"""Who is compared: a model in this process or a server, opened from one word on the command line.

"http://host:port" is any OpenAI-compatible server (ours, llama.cpp, vLLM); anything else a checkpoint's folder or name.
Promise: a failure of the model becomes a reading without numbers, which judge() calls UNKNOWN: it counts against the
model and ends no comparison. A server without logprobs takes part through the word it writes, and is marked so.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, List, Sequence
from urllib.parse import urlsplit

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply
from duck_protection.vlm.base import ChoiceError, Vlm, VlmError
from duck_protection.vlm.optimisations import BATCHES

PATIENCE_S = 60.0  # for one batch of readings: a slow model is measured, not dropped
WRITTEN_TOKENS = 4  # of a written answer: its first word
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Contender:
    """One side of the comparison.

    Args:
        name: For people: model, where it runs.
        where: The word it was opened from.
        vlm: Never raises anything but ChoiceError from choose(); failures holds what went wrong.
        written: Its probabilities are 0 and 1, from a written word.
    """

    name: str
    where: str
    vlm: Patient
    written: bool

    @property
    def is_server(self) -> bool:
        """Whether it is asked over HTTP."""
        return is_url(self.where)

    @property
    def here(self) -> bool:
        """Whether its memory and energy are this machine's."""
        return not self.is_server or urlsplit(self.where).hostname in LOOPBACK

    def about(self) -> dict[str, Any]:
        """For the report."""
        identity = self.vlm.identity
        return {
            "name": self.name, "where": self.where, "written": self.written, "model": identity.model,
            "revision": identity.revision, "dtype": identity.dtype, "backend": identity.backend,
            "here": self.here,
        }  # fmt: skip


class Patient:
    """A Vlm whose failures become replies without numbers."""

    def __init__(self, vlm: Vlm) -> None:
        self._vlm = vlm
        self.failures: List[str] = []

    @property
    def identity(self) -> Identity:
        """The model's."""
        return self._vlm.identity

    def check_choices(self, words: Sequence[str]) -> None:
        """As base.Vlm."""
        self._vlm.check_choices(words)

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply per pair; NaN for what failed, each pair tried alone first. Raises ChoiceError only."""
        try:
            return self._vlm.choose(frames, questions)
        except ChoiceError:
            raise
        except VlmError as err:
            if len(frames) == 1:
                self.failures.append(f"{type(err).__name__}: {err}")
                return [silence(questions[0], self.identity)]
            return [reply for pair in zip(frames, questions) for reply in self.choose([pair[0]], [pair[1]])]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """As base.Vlm: raises what the model raises."""
        return self._vlm.generate(frame, prompt, max_tokens)

    @property
    def inner(self) -> Vlm:
        """The model itself."""
        return self._vlm


class Written:
    """A server that gives no probabilities: the first word that it writes stands for a choice, whole and exact."""

    def __init__(self, vlm: Vlm) -> None:
        self._vlm = vlm
        self.identity = vlm.identity
        self.generate = vlm.generate

    def check_choices(self, words: Sequence[str]) -> None:
        """Any words can be written."""

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """Probability 1 for the written word, off_mass 1 when it is none of the choices."""
        return [self._one(frame, question) for frame, question in zip(frames, questions)]

    def _one(self, frame: np.ndarray, question: Question) -> Reply:
        if question.picture_last:
            raise ChoiceError("a question before its picture cannot be asked of a server without logprobs")
        said = "".join(self._vlm.generate(frame, question.prompt, WRITTEN_TOKENS)).split()
        word = said[0].strip(".,:;!\"'*") if said else ""
        if word not in question.words:
            return Reply(tuple([1 / len(question.words)] * len(question.words)), 1.0, word, self.identity)
        return Reply(tuple(float(word == one) for one in question.words), 0.0, word, self.identity)


def silence(question: Question, identity: Identity) -> Reply:
    """What is read from a model that failed."""
    return Reply(tuple([math.nan] * len(question.words)), math.nan, "", identity)


def is_url(where: str) -> bool:
    """Whether this word means a server."""
    return where.startswith(("http://", "https://"))


@contextmanager
def opened(where: str, key: str = "", device: str = "auto", dtype: str = "auto") -> Iterator[Contender]:
    """The contender, warm; closed afterwards.

    Raises:
        LoadError: No such model or server; the message says what to do.
    """
    if not is_url(where):
        from duck_protection.vlm.fastvlm import FastVlm

        model = FastVlm(where, device, dtype)
        model.warm_up()
        model.measure_batches(BATCHES[-1])
        yield Contender(f"{model.identity.model}, in process", where, Patient(model), False)
        return
    from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

    settings = RemoteSettings(where, key, choose_s=PATIENCE_S, answer_s=PATIENCE_S, together=16)
    server = RemoteVlm(settings)
    try:
        vlm: Vlm = server if server.gives_probabilities else Written(server)
        name = f"{server.identity.model}, {urlsplit(where).netloc}"
        yield Contender(name, where, Patient(vlm), not server.gives_probabilities)
    finally:
        server.close()
