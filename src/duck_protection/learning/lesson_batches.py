"""Training batches: pictures, prompts and what should be said after them.

Each picture is read once and asked three times: the question that drives the robot, and two free ones. Promise: a
batch depends on the seed and the step alone, so that a resumed training sees what an uninterrupted one would have.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from duck_protection.learning import lessons
from duck_protection.learning.augment import augment, to_square
from duck_protection.learning.dataset import FrameSet, deserved, mirrored, picture, soft_targets
from duck_protection.learning.plans import Told, told
from duck_protection.learning.tutor import Lessons, lessons_of
from duck_protection.question import Question
from duck_protection.verdict import Level
from duck_protection.vlm import chatml

MIRRORED = 0.5  # share of the training pictures that are turned: a town that drives on the left
FREE = 2  # free questions about each picture, which is looked at once for all
IGNORED = -100  # torch's cross_entropy skips such targets


@dataclass(frozen=True)
class Batch:
    """One step's food.

    Args:
        pixels: float32, shape (batch, 3, side, side), RGB order, 0 to 1.
        ids: int64, shape (questions * batch, length): the driving question for each picture, then each free one.
        image_at: Where in ids the placeholders begin.
        answer_at: Where in the first rows of ids the answer stands: the logits before it are the verdict.
        choices: float32, shape (batch, number of choices): how much each choice deserves to be said.
        targets: int64, shape (questions * batch, length): next tokens; IGNORED: not taught, or by choices.
        tutoring: Where ducks and robot are.
    """

    pixels: Tensor
    ids: Tensor
    image_at: int
    answer_at: int
    choices: Tensor
    targets: Tensor
    tutoring: Lessons

    def to(self, device: torch.device) -> Batch:
        """The same batch there."""
        moved = {name: getattr(self, name).to(device) for name in ("pixels", "ids", "choices", "targets", "tutoring")}
        return replace(self, **moved)


class Batches:
    """The batches of one training."""

    def __init__(
        self, frames: FrameSet, question: Question, tokenizer: Tokenizer, side_px: int, image_tokens: int, size: int,
        seed: int,
    ) -> None:
        self._frames, self._question, self._tokenizer, self._side_px = frames, question, tokenizer, side_px
        self._size, self._seed, self.official = size, seed, frames.official
        self._numbers = frames.training()
        self._soft = torch.from_numpy(soft_targets(frames.labels, question, seed))
        self.word_ids = [chatml.plain_ids(tokenizer, word)[0] for word in question.words]
        self._end = chatml.special_id(tokenizer, chatml.END)
        self._road, self._image_at = chatml.ids(tokenizer, question.prompt, image_tokens)
        self._image_tokens = image_tokens

    def told(self) -> Told:
        """What they are made of."""
        return {"question": told(self._question), "data": self._frames.digest}

    def at(self, step: int) -> Batch:
        """The batch of this step."""
        chosen = self._chosen(step)
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        pixels = augment(self._pixels(chosen), generator)
        turned = torch.rand(len(chosen), generator=generator) < MIRRORED
        pixels = torch.where(turned.reshape(-1, 1, 1, 1), pixels.flip(-1), pixels)
        rng = np.random.default_rng([self._seed, step])
        asked = [lessons.draw(FREE * step + number, rng) for number in range(FREE)]
        return self._asked(to_square(pixels), chosen, asked, turned=turned.tolist())

    def validation(self, most: int) -> List[Tuple[Batch, Tensor]]:
        """Unchanged validation pictures, asked the same way, with the true choice of each (index in the question)."""
        numbers = self._frames.validation()
        numbers = numbers[:: max(1, len(numbers) // most)][:most]
        parts = [numbers[i : i + self._size] for i in range(0, len(numbers), self._size)]
        return [(self._asked(to_square(self._pixels(part)), part, []), self._truth(part)) for part in parts]

    def _chosen(self, step: int) -> np.ndarray:
        """Every training frame once per epoch, in an order of that epoch."""
        first = step * self._size
        epochs = range(first // len(self._numbers), (first + self._size - 1) // len(self._numbers) + 1)
        orders = [np.random.default_rng([self._seed, epoch]).permutation(self._numbers) for epoch in epochs]
        start = first % len(self._numbers)
        return np.concatenate(orders)[start : start + self._size]

    def _pixels(self, chosen: np.ndarray) -> Tensor:
        pictures = np.stack([picture(self._frames.files[number], self._side_px) for number in chosen])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float().div_(255)

    def _truth(self, chosen: np.ndarray) -> Tensor:
        first = deserved(self._question).argmax(1)
        return torch.tensor([int(first[self._frames.level(number) - Level.CLEAR]) for number in chosen])

    def _said(self, topic: str, number: int) -> List[int]:
        """The tokens of the right answer to a free question, with the end."""
        said = lessons.answer(topic, self._frames.labels[number])
        return [*chatml.plain_ids(self._tokenizer, said), self._end]

    def _asked(
        self, pixels: Tensor, chosen: np.ndarray, asked: Sequence[Tuple[str, str]], turned: Optional[List[bool]] = None
    ) -> Batch:
        answer_at = len(self._road)
        rows = [(self._road, [self.word_ids[index], self._end]) for index in self._truth(chosen).tolist()]
        for topic, prompt in asked:
            free = chatml.ids(self._tokenizer, prompt, self._image_tokens)[0]
            rows += [(free, self._said(topic, number)) for number in chosen]
        length = max(len(read) + len(said) for read, said in rows)
        ids = torch.full((len(rows), length), self._end)
        targets = torch.full((len(rows), length), IGNORED)
        for row, (read, said) in enumerate(rows):
            ids[row, : len(read) + len(said)] = torch.tensor([*read, *said])
            targets[row, len(read) - 1 : len(read) + len(said) - 1] = torch.tensor(said)
        targets[: len(chosen), answer_at - 1] = IGNORED  # the soft choices teach this one
        labels = [self._frames.labels[number] for number in chosen]
        labels = [mirrored(label) if other else label for label, other in zip(labels, turned or [False] * len(labels))]
        tutoring = lessons_of(labels, pixels.shape[-1])
        return Batch(pixels, ids, self._image_at, answer_at, self._soft[torch.from_numpy(chosen)], targets, tutoring)
