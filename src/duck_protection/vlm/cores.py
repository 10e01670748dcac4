"""FastVLM on a CPU with several cores: the pictures of a batch are shared out, and each core judges its own.

A convolution of this size spread over cores spends half its time waiting for the slowest of them, and a batch beyond a
few pictures leaves the cache; pictures side by side do neither (docs/benchmarks.md). Promise: the same replies as
FastVlm's, in the same order; one picture alone is spread over the cores as before, so a single robot loses nothing.
"""
from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Iterator, List, Sequence

import numpy as np

from duck_protection.question import Question
from duck_protection.verdict import Identity, Reply

if TYPE_CHECKING:
    from duck_protection.vlm.base import Vlm
    from duck_protection.vlm.fastvlm import FastVlm

MOST_TOGETHER = 4  # pictures in one core's pass: the duckling needs 7.7 ms a picture with 4, 9.0 with 8, 12.6 with 1


class ManyCores:
    """Keeps base.Vlm. The weights are the inner FastVlm's; nothing is copied.

    Args:
        cores: How many passes go on at once, 2 or more.
    """

    def __init__(self, inner: FastVlm, cores: int) -> None:
        self.inner, self._cores = inner, cores
        self._pool = _single_threads(cores)

    @property
    def identity(self) -> Identity:
        """The inner model's."""
        return self.inner.identity

    def check_choices(self, words: Sequence[str]) -> None:
        """As FastVlm."""
        self.inner.check_choices(words)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """The frame padded and at the model's size, as choose() makes it anyway: any thread may do that beforehand."""
        from duck_protection.vlm import pixels

        return pixels.with_pillow(frame, self.inner.checkpoint.side_px).permute(1, 2, 0).numpy()

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """As FastVlm: one reply per pair. Raises what any of the passes raised."""
        if len(frames) < 2:
            return self.inner.choose(frames, questions)
        parts = shares(len(frames), self._cores)
        passes = [self._pool.submit(self.inner.choose, frames[part], questions[part]) for part in parts]
        errors = [one.exception() for one in passes]  # waits for all: no pass of this batch may outlive the call
        for error in errors:
            if error is not None:
                raise error
        return [reply for one in passes for reply in one.result()]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """As FastVlm."""
        return self.inner.generate(frame, prompt, max_tokens)


def spread(vlm: FastVlm) -> Vlm:
    """The model over all cores that torch may use, when it is on a CPU; else the model as it is."""
    import torch

    cores = torch.get_num_threads()
    if vlm.checkpoint.model.device.type != "cpu" or cores < 2:
        return vlm
    return ManyCores(vlm, min(cores, os.cpu_count() or 1))


def shares(pictures: int, cores: int) -> List[slice]:
    """Parts of nearly equal size, as few as keep every core busy and every part within MOST_TOGETHER."""
    rounds = -(-pictures // (cores * MOST_TOGETHER))
    count = min(pictures, cores * rounds)
    edges = [number * pictures // count for number in range(count + 1)]
    return [slice(*pair) for pair in zip(edges, edges[1:])]


def _single_threads(count: int) -> ThreadPoolExecutor:
    """A pool whose threads compute alone. torch keeps the number for each thread, and one for threads yet to come."""
    import torch

    usual, together = torch.get_num_threads(), threading.Barrier(count + 1)

    def alone() -> None:
        torch.get_num_threads()  # the first call takes the usual number over, and would undo the next line later
        torch.set_num_threads(1)
        together.wait()

    pool = ThreadPoolExecutor(count, "core", initializer=alone)
    for _ in range(count):
        pool.submit(int)
    together.wait()
    torch.set_num_threads(usual)
    return pool
