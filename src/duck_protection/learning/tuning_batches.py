"""Batches for a model that can see already: photographs beside rendered frames, at the model's own picture size.

Half of a batch are photographs (where there are any), at least half of those dangers; rendered frames are also asked
one free question, so that what was learnt is kept. Promise: a batch depends on the seed and the step alone, no frame
that is kept back for validation is in it, and pictures are read from their files as the engine reads them.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from duck_protection.learning import lessons
from duck_protection.learning.augment import augment, to_square
from duck_protection.learning.dataset import FrameSet, deserved, picture, soft_targets
from duck_protection.learning.lesson_batches import IGNORED
from duck_protection.learning.plans import Told, told
from duck_protection.question import Question
from duck_protection.verdict import Level
from duck_protection.vlm import chatml

MIRRORED = 0.5  # no level changes in a mirror, and no free answer


@dataclass(frozen=True)
class Asked:
    """Pictures with one prompt for all.

    Args:
        pixels: float32, shape (batch, 3, side, side), RGB order, 0 to 1.
        ids: int64, shape (batch, length): the prompt, and what should be said after it, filled up with the end.
        image_at: Where in ids the placeholders begin.
        answer_at: Where the answer stands: the logits before it are the verdict.
        targets: int64, shape (batch, length): next tokens, IGNORED where nothing is taught.
    """

    pixels: Tensor
    ids: Tensor
    image_at: int
    answer_at: int
    targets: Tensor


@dataclass(frozen=True)
class TuningBatch:
    """One step's food: the driving question about every picture, and a free one about the rendered ones, which come
    first. choices: float32, shape (batch, choices): how much each deserves to be said."""

    driving: Asked
    free: Optional[Asked]
    choices: Tensor


class TuningBatches:
    """The batches of one tuning.

    Raises:
        ValueError: There are photographs, but no danger among them, or nothing else, or no room in a batch.
    """

    def __init__(
        self, rendered: Optional[FrameSet], photographs: Optional[FrameSet], question: Question, tokenizer: Tokenizer,
        side_px: int, image_tokens: int, size: int, seed: int, turns: Sequence[str] = lessons.TURNS,
    ) -> None:  # fmt: skip
        if photographs is not None and size < 2:
            raise ValueError(f"a batch with photographs needs at least 2 pictures, has {size}")
        self._question, self._tokenizer, self._seed, self._turns = question, tokenizer, seed, turns
        self._side_px, self._image_tokens = side_px, image_tokens
        self._end = chatml.special_id(tokenizer, chatml.END)
        self.word_ids = [chatml.plain_ids(tokenizer, word)[0] for word in question.words]
        self._photographs = 0 if photographs is None else size // 2 if rendered is not None else size
        self._rendered = size - self._photographs
        self._sets = (rendered, photographs)
        self.official = rendered is not None and rendered.official
        self._choices = [_targets(frames, question, seed) for frames in self._sets]
        self._pools = _pools(photographs)

    def told(self) -> Told:
        """What they are made of."""
        rendered, photographs = ("" if frames is None else frames.digest for frames in self._sets)
        return {"question": told(self._question), "data": rendered, "photographs": photographs}

    def at(self, step: int) -> TuningBatch:
        """The batch of this step."""
        rng = np.random.default_rng([self._seed, step])
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        chosen = [self._of_rendered(rng), self._of_photographs(rng)]
        pixels = augment(self._pixels(chosen), generator)
        turned = torch.rand(len(pixels), generator=generator) < MIRRORED
        pixels = to_square(torch.where(turned.reshape(-1, 1, 1, 1), pixels.flip(-1), pixels))
        topic, prompt = lessons.draw(step, rng, self._turns)
        free = self._free(pixels[: len(chosen[0])], chosen[0], topic, prompt) if chosen[0] else None
        return TuningBatch(self._driving(pixels), free, self._wanted(chosen))

    def validation(self, most: int, size: int = 16) -> List[Tuple[str, Asked, Tensor]]:
        """Unchanged pictures that were kept back: "rendered" or "photographs", the driving question, the choices."""
        found = []
        for which, (name, frames) in enumerate(zip(("rendered", "photographs"), self._sets)):
            numbers = [] if frames is None else frames.validation().tolist()
            numbers = numbers[:: max(1, len(numbers) // most)][:most]
            for start in range(0, len(numbers), size):
                chosen: List[Sequence[int]] = [[], []]
                chosen[which] = numbers[start : start + size]
                found.append((name, self._driving(to_square(self._pixels(chosen))), self._wanted(chosen)))
        return found

    def _of_rendered(self, rng: np.random.Generator) -> List[int]:
        frames = self._sets[0]
        return [] if frames is None else [int(n) for n in rng.choice(frames.training(), self._rendered)]

    def _of_photographs(self, rng: np.random.Generator) -> List[int]:
        if not self._photographs:
            return []
        half = self._photographs // 2
        counts = (half, self._photographs - half)
        return [int(n) for pool, count in zip(self._pools, counts) for n in rng.choice(pool, count)]

    def _pixels(self, chosen: Sequence[Sequence[int]]) -> Tensor:
        files = [frames.files[n] for frames, numbers in zip(self._sets, chosen) if frames is not None for n in numbers]
        pictures = np.stack([picture(file, self._side_px) for file in files])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float().div_(255)

    def _wanted(self, chosen: Sequence[Sequence[int]]) -> Tensor:
        return torch.from_numpy(np.concatenate([one[list(n)] for one, n in zip(self._choices, chosen) if len(n)]))

    def _driving(self, pixels: Tensor) -> Asked:
        return self._asked(pixels, self._question.prompt, [[] for _ in pixels])

    def _free(self, pixels: Tensor, numbers: Sequence[int], topic: str, prompt: str) -> Asked:
        frames = self._sets[0]
        assert frames is not None, "only rendered frames have free answers"
        said = [lessons.answer(topic, frames.labels[n]) for n in numbers]
        return self._asked(pixels, prompt, [[*chatml.plain_ids(self._tokenizer, one), self._end] for one in said])

    def _asked(self, pixels: Tensor, prompt: str, said: List[List[int]]) -> Asked:
        asked, image_at = chatml.ids(self._tokenizer, prompt, self._image_tokens)
        length = len(asked) + max(map(len, said))
        ids = torch.full((len(said), length), self._end)
        targets = torch.full((len(said), length), IGNORED)
        for row, words in enumerate(said):
            ids[row, : len(asked) + len(words)] = torch.tensor([*asked, *words])
            targets[row, len(asked) - 1 : len(asked) + len(words) - 1] = torch.tensor(words, dtype=torch.int64)
        return Asked(pixels, ids, image_at, len(asked), targets)


def _targets(frames: Optional[FrameSet], question: Question, seed: int) -> np.ndarray:
    """float32, shape (n, choices): rendered frames' soft targets, photographs' shares."""
    if frames is None:
        return np.zeros((0, len(question.choices)), np.float32)
    if "shares" not in frames.labels[0]:
        return soft_targets(frames.labels, question, seed)
    return (np.array([label["shares"] for label in frames.labels]) @ deserved(question)).astype(np.float32)


def _pools(photographs: Optional[FrameSet]) -> Tuple[np.ndarray, np.ndarray]:
    """Numbers of the training photographs without danger, and with."""
    if photographs is None:
        return np.zeros(0, int), np.zeros(0, int)
    numbers = photographs.training()
    danger = np.array([photographs.labels[n]["shares"][Level.STOP - 1] > 0 for n in numbers], dtype=bool)
    if danger.all() or not danger.any():
        raise ValueError("tuning on photographs needs some with a duck in the lane and some without")
    return numbers[~danger], numbers[danger]
