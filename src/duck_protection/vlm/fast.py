"""The fast way to a verdict: what is known is not computed again, and shapes repeat so that graphs can be replayed.

Answers: the logits of the first answer token for these pictures and prompts. Promise: the same as the plain way
(vlm/plain.py) to the tolerance that optimisations.py names, each shortcut alone or all together, in any mixture of new
and known pictures; whatever has no graph is computed without one.
"""
from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from duck_protection.vlm import pixels
from duck_protection.vlm.graphs import Capture, Recorded, Tensors
from duck_protection.vlm.kept import KeptPictures, KeptPrefixes, same
from duck_protection.vlm.optimisations import BATCHES, Optimisations
from duck_protection.vlm.prompts import Asked, Prompts
from duck_protection.vlm.steps import Steps

BUCKETS = (16, 32, 48, 64, 96, 128)  # tokens after the picture: the road's question has about 55 with Qwen2's tokenizer
KEPT_PICTURES = 4  # of 15 MB each with FastVLM-7B

log = logging.getLogger(__name__)
Key = Tuple[str, int, int, int]


class FastPath:
    """One model on one device.

    Args:
        device: Where the model lies.
        capture: How steps are recorded; None: they are run as they come.
        batches: Sizes of batches that get graphs.
    """

    def __init__(
        self, model: Any, side_px: int, prompts: Prompts, chosen: Optimisations, device: torch.device,
        capture: Optional[Capture] = None, batches: Sequence[int] = BATCHES,
    ) -> None:
        chosen = replace(chosen, image_kept=chosen.image_kept and prompts.image_first)
        self._side_px, self._prompts, self._chosen, self._device = side_px, prompts, chosen, device
        self._usual = prompts.asked("").before if chosen.image_kept else None
        self.steps = Steps(model, chosen)
        named = {"look": self.steps.look, "look_after": self.steps.look_after, "again": self.steps.again}
        self._functions: Dict[str, Callable[..., Tensors]] = {
            name: torch.compile(step, fullgraph=True, dynamic=False) if chosen.compiled else step
            for name, step in named.items()
        }
        self._unrecorded = named if capture is not None else self._functions  # nothing is compiled while a robot waits
        self._upload = pixels.Uploader(side_px, device)
        self._prefixes = KeptPrefixes(lambda ids: self.steps.prefix(self._ids([ids])))
        self._pictures = KeptPictures(KEPT_PICTURES)
        self._capture, self._batches = capture, tuple(sorted(batches))
        self._recorded: Dict[Key, Recorded] = {}

    @torch.inference_mode()
    def logits(self, frames: Sequence[np.ndarray], asked: Sequence[Asked]) -> Tuple[Tensor, Tensor]:
        """States and float32 logits after each prompt's last token, (batch, width) and (batch, vocabulary)."""
        with self._here():
            return self._logits(frames, asked)

    def _here(self) -> ContextManager[object]:
        """Streams and graphs belong to a thread's current GPU, which is the first one until told."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _logits(self, frames: Sequence[np.ndarray], asked: Sequence[Asked]) -> Tuple[Tensor, Tensor]:
        new, twins, kept = self._sorted(frames, [one.before == self._usual for one in asked])
        rows: Dict[int, Tensors] = {}

        def note(places: Sequence[int], states: Tensor, logits: Tensor) -> None:
            rows.update({place: (states[row].clone(), logits[row].clone()) for row, place in enumerate(places)})

        for places in _groups(new, lambda place: asked[place].before, self._batches[-1]):
            states, logits, own = self._look([frames[place] for place in places], [asked[place] for place in places])
            if len(places) == len(frames):
                return states, logits  # the usual case needs no copies
            note(places, states, logits)
            kept.update(zip(places, own))
        known = [place for place in range(len(frames)) if place not in rows]
        for places in _groups(known, lambda _: (), self._batches[-1]):
            before = torch.cat([kept[twins.get(place, place)] for place in places], 2)
            note(places, *self._again(before, [asked[place] for place in places]))
        every = [rows[place] for place in range(len(frames))]
        return torch.stack([one[0] for one in every]), torch.stack([one[1] for one in every])

    @torch.inference_mode()
    def warm_up(self, prompt: str, only: Sequence[Asked] = ()) -> int:
        """Records a graph for every batch and bucket (or those of these prompts), largest first; how many there are.
        Sizes that cannot be recorded, for want of memory as a rule, will be computed without. Only with the question
        first does the prompt matter."""
        if self._capture is None:
            return 0
        buckets = {self._bucket([one]) for one in only} or set(BUCKETS)
        words = self._prompts.asked(prompt).before
        for size in sorted(self._batches, reverse=True):
            try:
                with self._here():
                    self._record_all(size, sorted(buckets, reverse=True), words)
            except RuntimeError as err:  # an OutOfMemoryError, or what a broken recording makes of it
                log.warning("no graphs for batches of %d: %s", size, err)
                self._recorded = {key: one for key, one in self._recorded.items() if key[1] != size}
        return len(self._recorded)

    def _record_all(self, size: int, buckets: Sequence[int], words: Sequence[int]) -> None:
        squares = torch.zeros((size, 3, self._side_px, self._side_px), dtype=torch.uint8, device=self._device)
        for bucket in buckets:
            tail, last = self._tail([[self._prompts.end] * bucket] * size, bucket)
            name, inputs = self._look_inputs(squares, words, tail, last)
            kept = self._record(name, inputs)(*inputs)[2]
            if self._chosen.image_kept and size == 1:
                self._record("again", (kept, tail, last))

    def _sorted(
        self, frames: Sequence[np.ndarray], usual: Sequence[bool]
    ) -> Tuple[List[int], Dict[int, int], Dict[int, Tensor]]:
        """Places of new pictures; of those that show the same as a new one, with that one's place; and what is kept
        of those that are known. What is kept of a picture depends on the words before it: only behind the usual ones
        is there anything to know, and a question that stands before its picture always makes it new."""
        new: List[int] = []
        twins: Dict[int, int] = {}
        kept: Dict[int, Tensor] = {}
        for place, frame in enumerate(frames):
            known = self._pictures.of(frame) if usual[place] else None
            twin = next((other for other in new if usual[place] and usual[other] and same(frames[other], frame)), None)
            if known is not None:
                kept[place] = known
            elif twin is not None:
                twins[place] = twin
            else:
                new.append(place)
        return new, twins, kept

    def _look(self, frames: Sequence[np.ndarray], asked: Sequence[Asked]) -> Tuple[Tensor, Tensor, List[Tensor]]:
        size = self._padded(len(frames))
        if self._chosen.device_pixels:
            squares = self._upload(frames)
        else:
            squares = torch.stack([pixels.with_pillow(frame, self._side_px) for frame in frames]).to(self._device)
        squares = torch.cat([squares, squares[:1].expand(size - len(frames), -1, -1, -1)])
        tail, last = self._tail([one.after for one in asked], self._bucket(asked), size)
        states, logits, kept = self._run(*self._look_inputs(squares, asked[0].before, tail, last))
        own = self._pictures.keep(frames, kept) if asked[0].before == self._usual else []
        return states[: len(frames)], logits[: len(frames)], own

    def _again(self, kept: Tensor, asked: Sequence[Asked]) -> Tuple[Tensor, Tensor]:
        tail, last = self._tail([one.after for one in asked], self._bucket(asked))
        states, logits, _ = self._run("again", (kept, tail, last))
        return states, logits

    def _look_inputs(
        self, squares: Tensor, before: Sequence[int], tail: Tensor, last: Tensor
    ) -> Tuple[str, Tensors]:
        if self._chosen.prefix_kept:
            return "look_after", (squares, self._prefixes.of(before), tail, last)
        return "look", (squares, self._ids([before] * len(squares)), tail, last)

    def _run(self, name: str, inputs: Tensors) -> Tensors:
        recorded = self._recorded.get(_key(name, inputs))
        return recorded(*inputs) if recorded is not None else self._unrecorded[name](*inputs)

    def _record(self, name: str, inputs: Tensors) -> Recorded:
        assert self._capture is not None
        key = _key(name, inputs)
        if key not in self._recorded:
            self._recorded[key] = Recorded(self._functions[name], inputs, self._capture)
        return self._recorded[key]

    def _padded(self, count: int) -> int:
        if self._capture is None and not self._chosen.compiled:
            return count
        return next((size for size in self._batches if size >= count), count)

    def _bucket(self, asked: Sequence[Asked]) -> int:
        longest = max(len(one.after) for one in asked)
        if not self._chosen.buckets:
            return longest
        return next((bucket for bucket in BUCKETS if bucket >= longest), longest)

    def _tail(self, rows: Sequence[Sequence[int]], length: int, size: int = 0) -> Tuple[Tensor, Tensor]:
        """Tokens filled up at the end, where causal attention keeps them from mattering, and where each row ends."""
        rows = [*rows, *[rows[0]] * (size - len(rows))]
        last = torch.tensor([len(row) - 1 for row in rows])
        filled = [[*row, *[self._prompts.end] * (length - len(row))] for row in rows]
        return self._ids(filled), last.to(self._device)

    def _ids(self, rows: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long).to(self._device)


def _key(name: str, inputs: Tensors) -> Key:
    """Batch, what was read before, and the tail's length tell every shape."""
    *_, before, tail, _ = inputs
    return name, tail.shape[0], before.shape[-2] if before.ndim > 2 else before.shape[-1], tail.shape[1]


def _groups(places: Sequence[int], alike: Callable[[int], Any], most: int) -> List[List[int]]:
    """Places that can be computed together, at most so many at once."""
    found: Dict[Any, List[int]] = {}
    for place in places:
        found.setdefault(alike(place), []).append(place)
    return [group[start : start + most] for group in found.values() for start in range(0, len(group), most)]
