"""A training in progress: one step, one look at how it is going, and everything that a later process needs to go on.

Knows no files and no command line (train.py). Promise: a step depends on the plan, the data and the state alone.
"""
from __future__ import annotations

import copy
import math
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel
from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

from duck_protection.learning import lessons
from duck_protection.learning.dataset import load
from duck_protection.learning.lesson_batches import IGNORED, Batch, Batches
from duck_protection.learning.plans import Told
from duck_protection.learning.reading import choice_logits, hidden_states, leak_loss, soft_loss
from duck_protection.learning.thin import DUCKLING, Sizes, thin_config
from duck_protection.learning.tokenizer import make_tokenizer
from duck_protection.learning.tutor import Tutor, see
from duck_protection.learning.waking import add_block, wake
from duck_protection.question import Question

FREE_WEIGHT = 0.4  # of the free questions' loss beside the verdict's
LEAK_WEIGHT = 2.0  # of the loss about STOPs that are read as CLEAR: a duck run over is worse than a stop too many
WORD_WEIGHTS = ("embed_tokens.weight", "lm_head.weight")  # rows by token number
TOWER_BLOCK = re.compile(r".*\.stages\.\d+\.blocks\.\d+")
TUTOR_WEIGHT = 0.3  # of the loss about where the ducks are


@dataclass(frozen=True)
class Plan:
    """How to train."""

    steps: int
    seed: int = 1
    batch: int = 16
    peak_rate: float = 1.5e-3
    warm_up: int = 150
    weight_decay: float = 0.05
    average: float = 0.998  # weight of the past in the averaged weights: about 500 steps
    check_every: int = 250
    check_frames: int = 480
    sizes: Sizes = DUCKLING
    compile_tower: bool = True

    def told(self) -> Told:
        """What a later process must have too to go on; compiling is its own affair."""
        return {key: value for key, value in asdict(self).items() if key != "compile_tower"}

    def rate(self, step: int) -> float:
        """The learning rate of a step: a linear start, then half a cosine down to a hundredth."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


class Training:
    """A training in progress: weights, their average, optimiser, and what was measured on the way.

    Args:
        start: Another training's state, whose weights are the first ones here; nothing else of it is used. Without a
            tutor, a new one begins. The model may have more blocks than that one had: those begin as mere shortcuts;
            and it may look at larger or smaller pictures.
        device: Where the arithmetic happens, "cpu" or "cuda"; batches are made by the CPU.
    """

    def __init__(
        self, data: Sequence[Path], question: Question, plan: Plan, start: Optional[Dict[str, Any]] = None,
        device: str = "cpu",
    ) -> None:
        self.plan, self.question, self.step, self._device = plan, question, 0, torch.device(device)
        self.curve: List[Dict[str, float]] = []
        self.tokenizer = make_tokenizer([question.prompt, *lessons.corpus()], list(question.words))
        side_px, tokens = plan.sizes.side_px, plan.sizes.image_tokens
        self.batches = Batches(load(*data), question, self.tokenizer, side_px, tokens, plan.batch, plan.seed)
        torch.manual_seed(plan.seed)
        self.model = FastVlmForConditionalGeneration(thin_config(self.tokenizer, plan.sizes)).train()
        self.tutor = Tutor(plan.sizes.widths[2], 2 * plan.sizes.widths[-1])
        self._prepare(start)
        self.model.to(self._device)
        self.tutor.to(self._device)
        self.average = AveragedModel(self.model, multi_avg_fn=_averaging(plan.average), use_buffers=True)
        self._all = [*self.model.parameters(), *self.tutor.parameters()]
        decayed, others = [p for p in self._all if p.ndim >= 2], [p for p in self._all if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98), fused=True)
        self._kitchen = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._ahead: Optional[Tuple[int, Future[Batch]]] = None
        self._see = torch.compile(see, dynamic=False) if plan.compile_tower else see

    def _prepare(self, start: Optional[Dict[str, Any]]) -> None:
        """First weights: new ones through which a picture is visible, or another training's."""
        if start is None:
            wake(self.model.model.vision_tower.timm_model, self.batches.at(0).pixels)
        else:
            taken = start["model"]
            if start.get("tokenizer") != self.tokenizer.to_str():  # the same number would mean another word
                taken = {name: value for name, value in taken.items() if not name.endswith(WORD_WEIGHTS)}
            missing, _ = self.model.load_state_dict(taken, strict=False)
            added = {_block(name) for name in missing if TOWER_BLOCK.match(name)} - {_block(name) for name in taken}
            lost = [name for name in missing if not name.endswith(WORD_WEIGHTS) and _block(name) not in added]
            if lost:
                raise ValueError(f"the state to begin with is another model's: it has no {lost[0]}")
            for name in sorted(added):  # a set's order is another one in every process, and the numbers drawn with it
                add_block(self.model.get_submodule(name))
            self.tutor.load_state_dict(start.get("tutor", {}), strict=False)  # an older tutor may have had fewer heads

    def advance(self) -> float:
        """One step; returns its loss."""
        batch = self._prepared().to(self._device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        loss = self.loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._all, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(loss.detach())

    def _prepared(self) -> Batch:
        """This step's batch, made while the step before it was being learnt; the next one is begun."""
        here, self._ahead = self._ahead, None
        batch = here[1].result() if here is not None and here[0] == self.step else self.batches.at(self.step)
        if self.step + 1 < self.plan.steps:
            self._ahead = (self.step + 1, self._kitchen.submit(self.batches.at, self.step + 1))
        return batch

    def loss_of(self, batch: Batch) -> Tensor:
        """The verdict's token, above all where a STOP is read as CLEAR, and with smaller weights the end after it, the
        free answers and the tutor's cells."""
        word_ids, taught = self.batches.word_ids, batch.targets != IGNORED
        with sdpa_kernel([SDPBackend.MATH]), torch.autocast(self._device.type, torch.bfloat16):
            middle, tokens = self._see(self.model.model.vision_tower.timm_model, batch.pixels)
            hidden = hidden_states(self.model, batch, tokens)
            verdict = self.model.lm_head(hidden[: len(batch.pixels), batch.answer_at - 1]).float()
            free = self.model.lm_head(hidden[taught]).float()
            tutored = self.tutor.loss(middle, tokens, batch.tutoring)
        said = FREE_WEIGHT * functional.cross_entropy(free, batch.targets[taught])
        stop, clear = self._index("STOP"), self._index("CLEAR")
        leaked = LEAK_WEIGHT * leak_loss(verdict, batch.choices[:, stop], word_ids[clear])
        return soft_loss(verdict, batch.choices, word_ids) + leaked + said + TUTOR_WEIGHT * tutored

    @torch.no_grad()
    def check(self) -> Dict[str, float]:
        """How the averaged weights do on validation frames, likeliest choice, no thresholds."""
        self.average.eval()
        stop, clear = (self._index(level) for level in ("STOP", "CLEAR"))
        right = missed = count = 0
        loss = 0.0
        for batch, truth in self.batches.validation(self.plan.check_frames):
            said = choice_logits(self.average.module, batch.to(self._device)).cpu()
            loss += float(soft_loss(said, batch.choices, self.batches.word_ids)) * len(truth)
            best = said[:, self.batches.word_ids].argmax(1)
            right += int((best == truth).sum())
            missed += int(((truth == stop) & (best == clear)).sum())
            count += len(truth)
        count = max(1, count)
        return {"validation_loss": loss / count, "right": right / count, "stop_said_clear": missed}

    def _index(self, level: str) -> int:
        return [choice.level.name for choice in self.question.choices].index(level)

    def told(self) -> Told:
        """What it was begun with, but for the first weights."""
        return {**self.plan.told(), **self.batches.told()}

    def state(self) -> Dict[str, Any]:
        """Everything that --resume needs; tensors and plain values only."""
        return {
            "step": self.step,
            "curve": self.curve,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "tutor": self.tutor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "tokenizer": self.tokenizer.to_str(),
        }

    def shipped(self) -> FastVlmForConditionalGeneration:
        """The averaged weights, in evaluation mode, on the CPU."""
        model: FastVlmForConditionalGeneration = self.average.module.eval()
        return model if self._device.type == "cpu" else copy.deepcopy(model).cpu()

    def restore(self, state: Dict[str, Any]) -> None:
        """Go on from a state."""
        self.step, self.curve = state["step"], state["curve"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.tutor.load_state_dict(state["tutor"])
        self.optimizer.load_state_dict(state["optimizer"])


def _block(weight: str) -> str:
    """The tower's block that a weight belongs to; itself if to none."""
    match = TOWER_BLOCK.match(weight)
    return match[0] if match else weight


def _averaging(most: float) -> Callable[[List[Tensor], List[Tensor], Any], None]:
    """An exponential average that soon forgets where it began: its memory grows with the count, up to most."""

    def average(averages: List[Tensor], values: List[Tensor], count: Any) -> None:
        share = 1 - min(most, (1 + int(count)) / (10 + int(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, share)
        else:
            torch._foreach_copy_(averages, values)

    return average
