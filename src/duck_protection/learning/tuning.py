"""A tuning in progress: a FastVLM that can see already learns from photographs and frames, whole or through adapters.

Two ways: all weights but the tower's first stages (their filters are general, and cost two thirds of a step), or LoRA
adapters in the text model (peft), for models too large to be trained whole. Promise: a step depends on plan, data and
state alone; weights that are not trained keep their bits.
"""
from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
from torch import Tensor
from torch.nn import functional

from duck_protection.learning.lesson_batches import IGNORED
from duck_protection.learning.plans import Told
from duck_protection.learning.reading import hidden_states, soft_loss
from duck_protection.learning.training import FREE_WEIGHT, Plan
from duck_protection.learning.tuning_batches import Asked, TuningBatches
from duck_protection.learning.tutor import see
from duck_protection.vlm.checkpoints import Checkpoint

FROZEN_STAGES = 2  # of the tower's five, and its stem
ADAPTED = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@dataclass(frozen=True)
class How:
    """What is trained. rank: of the LoRA adapters; 0: the weights themselves."""

    rank: int = 0
    frozen_stages: int = FROZEN_STAGES


class Tuning:
    """A tuning in progress. The checkpoint's model is changed in place."""

    def __init__(self, checkpoint: Checkpoint, batches: TuningBatches, plan: Plan, how: How) -> None:
        self.plan, self.how, self.batches, self.step = plan, how, batches, 0
        self.curve: List[Dict[str, float]] = []
        self._revision = checkpoint.revision
        self.model, self._adapters = checkpoint.model, None
        self._device = self.model.device
        self._see = torch.compile(see, dynamic=False) if plan.compile_tower else see
        torch.manual_seed(plan.seed)
        if how.rank:
            self._adapters = _adapted(self.model, how.rank)
        else:
            _freeze(self.model, how.frozen_stages)
        self._trained = {name: one for name, one in self.model.named_parameters() if one.requires_grad}
        self.optimizer = torch.optim.AdamW(self._trained.values(), lr=plan.peak_rate, weight_decay=plan.weight_decay)

    @property
    def trained_numbers(self) -> int:
        """How many numbers are trained."""
        return sum(one.numel() for one in self._trained.values())

    def advance(self) -> float:
        """One step; returns its loss."""
        batch = self.batches.at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        with torch.autocast(self._device.type, torch.bfloat16):
            tokens = self._seen(batch.driving, self._see)
            verdict, wanted = self._verdict(batch.driving, tokens), batch.choices.to(self._device)
            loss = soft_loss(verdict, wanted, self.batches.word_ids)
            if batch.free is not None:
                loss = loss + FREE_WEIGHT * self._said(batch.free, tokens[: len(batch.free.pixels)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def check(self) -> Dict[str, float]:
        """Loss and right choices on what was kept back, likeliest choice, no thresholds."""
        sums: Dict[str, float] = {}
        for name, asked, choices in self.batches.validation(self.plan.check_frames):
            said = self._verdict(asked, self._seen(asked, see))
            right = said[:, self.batches.word_ids].argmax(1).cpu() == choices.argmax(1)
            loss = soft_loss(said.cpu(), choices, self.batches.word_ids)
            for key, value in ((f"{name}_loss", float(loss) * len(choices)), (f"{name}_right", float(right.sum()))):
                sums[key] = sums.get(key, 0.0) + value
            sums[f"{name}_n"] = sums.get(f"{name}_n", 0.0) + len(choices)
        return {
            key: value / sums[f"{key.split('_')[0]}_n"] for key, value in sums.items() if not key.endswith("_n")
        }

    def told(self) -> Told:
        """What it was begun with."""
        return {"model": self._revision, **self.plan.told(), **asdict(self.how), **self.batches.told()}

    def state(self) -> Dict[str, Any]:
        """Everything that --resume needs; tensors and plain values only."""
        trained = {name: one.detach() for name, one in self._trained.items()}
        return {"step": self.step, "curve": self.curve, "trained": trained, "optimizer": self.optimizer.state_dict()}

    @torch.no_grad()
    def restore(self, state: Dict[str, Any]) -> None:
        """Go on from a state of the same tuning.

        Raises:
            ValueError: It is of another one: other weights were trained.
        """
        if set(state["trained"]) != set(self._trained):
            raise ValueError("this state is of another tuning: it trained other weights")
        self.step, self.curve = state["step"], state["curve"]
        for name, value in state["trained"].items():
            self._trained[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])

    def save_adapters(self, folder: Path) -> None:
        """LoRA's adapters as peft saves them (safetensors): small, of use only beside the model they were made on."""
        if self._adapters is not None:
            self._adapters.save_pretrained(str(folder))

    def merged(self) -> Any:
        """The model with its adapters folded in, in evaluation mode; no further step is possible."""
        if self._adapters is None:
            return self.model.eval()
        return self._adapters.merge_and_unload().eval()

    def _seen(self, asked: Asked, see: Callable[..., Any]) -> Tensor:
        """The tower's last map; no graph is kept for frozen weights."""
        pixels = asked.pixels.to(self._device, self.model.dtype)
        tokens: Tensor = see(self.model.model.vision_tower.timm_model, pixels)[1]
        return tokens

    def _hidden(self, asked: Asked, tokens: Tensor) -> Tensor:
        moved: Any = replace(asked, ids=asked.ids.to(self._device))
        return hidden_states(self.model, moved, tokens)

    def _verdict(self, asked: Asked, tokens: Tensor) -> Tensor:
        """float32 logits of the verdict's token, shape (batch, vocabulary)."""
        return self.model.lm_head(self._hidden(asked, tokens)[:, asked.answer_at - 1]).float()

    def _said(self, asked: Asked, tokens: Tensor) -> Tensor:
        targets = asked.targets.to(self._device)
        taught = targets != IGNORED
        logits = self.model.lm_head(self._hidden(asked, tokens)[taught]).float()
        return functional.cross_entropy(logits, targets[taught])


def load_adapters(checkpoint: Checkpoint, folder: Path) -> Any:
    """The checkpoint's model with saved adapters folded in; the checkpoint's own is changed."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return PeftModel.from_pretrained(checkpoint.model, str(folder)).merge_and_unload().eval()


def _freeze(model: Any, stages: int) -> None:
    tower = model.model.vision_tower.timm_model
    for part in (tower.stem, *list(tower.stages)[:stages]):
        part.requires_grad_(False)


def _adapted(model: Any, rank: int) -> Optional[Any]:
    """The model in peft's wrapping: its text model's projections have adapters, and nothing else is trained. The text
    model keeps the inputs of its layers alone and computes the rest again on the way back: time for memory."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():  # peft 0.21 asks transformers 5.23 by an old name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=ADAPTED))
    model.model.language_model.activation_checkpointing_enable()
    model.model.language_model.train()  # only there it does; Qwen2 has no dropout
    return adapted
