"""Trains the duckling: a thin FastVLM that answers the driving question from one picture.

    python -m duck_protection.learning.train --data data/train --out models/duckling --steps 5000 --seed 1

Answers: which weights read the truth of corridor.py best? Thresholds are not its matter (learning/evaluate.py).
Promise: the same seed gives the same batches, an interrupted training goes on with --resume as if nothing had
happened, and <out> always holds the best model so far, complete and loadable by the engine.

A plain loop, on purpose: the loss is not next-token loss (soft choices on the verdict's token, the picture read once
for two questions), which transformers' Trainer would only take through overridden methods longer than this loop;
averaging (torch.optim.swa_utils), compilation and mixed precision are torch's own. On two CPU cores one step of 16
pictures takes 0.29 s: bfloat16 arithmetic and a compiled tower; float32 without compilation takes 0.45 s.
"""
from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
import yaml
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel
from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

from duck_protection.learning import lessons
from duck_protection.learning.dataset import load
from duck_protection.learning.lesson_batches import IGNORED, Batch, Batches
from duck_protection.learning.shipping import save_model, save_state
from duck_protection.learning.thin import DUCKLING, Sizes, thin_config
from duck_protection.learning.tokenizer import make_tokenizer
from duck_protection.learning.tutor import Tutor, see
from duck_protection.learning.waking import wake
from duck_protection.question import Question, questions_from

FREE_WEIGHT = 0.2  # of the free questions' loss beside the verdict's
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

    def rate(self, step: int) -> float:
        """The learning rate of a step: a linear start, then half a cosine down to a hundredth."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


class Training:
    """A training in progress: weights, their average, optimiser, and what was measured on the way."""

    def __init__(self, data: Path, question: Question, plan: Plan) -> None:
        self.plan, self.question, self.step = plan, question, 0
        self.curve: List[Dict[str, float]] = []
        self.tokenizer = make_tokenizer(
            [question.prompt, *lessons.PROMPTS, *lessons.answers()], list(question.words)
        )
        tokens = plan.sizes.image_tokens
        self.batches = Batches(load(data), question, self.tokenizer, tokens, plan.batch, plan.seed)
        torch.manual_seed(plan.seed)
        self.model = FastVlmForConditionalGeneration(thin_config(self.tokenizer, plan.sizes)).train()
        wake(self.model.model.vision_tower.timm_model, self.batches.at(0).pixels)
        self.average = AveragedModel(self.model, multi_avg_fn=_averaging(plan.average), use_buffers=True)
        self.tutor = Tutor(plan.sizes.widths[2], 2 * plan.sizes.widths[-1])
        self._all = [*self.model.parameters(), *self.tutor.parameters()]
        decayed, others = [p for p in self._all if p.ndim >= 2], [p for p in self._all if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98), fused=True)
        self._see = torch.compile(see, dynamic=False) if plan.compile_tower else see

    def advance(self) -> float:
        """One step; returns its loss."""
        batch = self.batches.at(self.step)
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

    def loss_of(self, batch: Batch) -> Tensor:
        """The verdict's token, and with smaller weights the end after it, the free answers and the tutor's cells."""
        word_ids, taught = self.batches.word_ids, batch.targets != IGNORED
        with sdpa_kernel([SDPBackend.MATH]), torch.autocast("cpu", torch.bfloat16):
            middle, tokens = self._see(self.model.model.vision_tower.timm_model, batch.pixels)
            hidden = hidden_states(self.model, batch, tokens)
            verdict = self.model.lm_head(hidden[: len(batch.pixels), batch.answer_at - 1]).float()
            free = self.model.lm_head(hidden[taught]).float()
            tutored = self.tutor.loss(middle, tokens, batch.cells)
        said = FREE_WEIGHT * functional.cross_entropy(free, batch.targets[taught])
        return _soft_loss(verdict, batch.choices, word_ids) + said + TUTOR_WEIGHT * tutored

    @torch.no_grad()
    def check(self) -> Dict[str, float]:
        """How the averaged weights do on validation frames, likeliest choice, no thresholds."""
        self.average.eval()
        stop, clear = (self._index(level) for level in ("STOP", "CLEAR"))
        right = missed = count = 0
        loss = 0.0
        for batch, truth in self.batches.validation(self.plan.check_frames):
            said = choice_logits(self.average.module, batch)
            loss += float(_soft_loss(said, batch.choices, self.batches.word_ids)) * len(truth)
            best = said[:, self.batches.word_ids].argmax(1)
            right += int((best == truth).sum())
            missed += int(((truth == stop) & (best == clear)).sum())
            count += len(truth)
        count = max(1, count)
        return {"validation_loss": loss / count, "right": right / count, "stop_said_clear": missed}

    def _index(self, level: str) -> int:
        return [choice.level.name for choice in self.question.choices].index(level)

    def state(self) -> Dict[str, Any]:
        """Everything that --resume needs; tensors and plain values only."""
        return {
            "step": self.step,
            "curve": self.curve,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "tutor": self.tutor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: Dict[str, Any]) -> None:
        """Go on from a state."""
        self.step, self.curve = state["step"], state["curve"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.tutor.load_state_dict(state["tutor"])
        self.optimizer.load_state_dict(state["optimizer"])


def hidden_states(model: FastVlmForConditionalGeneration, batch: Batch, tokens: Tensor) -> Tensor:
    """Last hidden states, shape (questions, length, width), of questions about these visual tokens."""
    seen = model.model.multi_modal_projector(tokens.flatten(2).permute(0, 2, 1))  # (batch, image tokens, width)
    read = model.get_input_embeddings()(batch.ids)
    seen = seen.to(read.dtype).repeat(len(batch.ids) // len(batch.pixels), 1, 1)
    after = batch.image_at + seen.shape[1]
    embedded = torch.cat([read[:, : batch.image_at], seen, read[:, after:]], 1)
    return model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state


def choice_logits(model: FastVlmForConditionalGeneration, batch: Batch) -> Tensor:
    """float32 logits of the verdict's token, shape (batch, vocabulary)."""
    verdicts = replace(batch, ids=batch.ids[: len(batch.pixels)])
    _, tokens = see(model.model.vision_tower.timm_model, batch.pixels)
    return model.lm_head(hidden_states(model, verdicts, tokens)[:, batch.answer_at - 1]).float()


def _averaging(most: float) -> Callable[[List[Tensor], List[Tensor], Any], None]:
    """An exponential average that soon forgets where it began: its memory grows with the count, up to most."""

    def average(averages: List[Tensor], values: List[Tensor], count: Any) -> None:
        share = 1 - min(most, (1 + int(count)) / (10 + int(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, share)
        else:
            torch._foreach_copy_(averages, values)

    return average


def _soft_loss(logits: Tensor, choices: Tensor, word_ids: List[int]) -> Tensor:
    return -(choices * functional.log_softmax(logits, -1)[:, word_ids]).sum(1).mean()


def train(data: Path, out: Path, work: Path, question: Question, plan: Plan, *, resume: bool = False) -> Training:
    """Train to the plan's end; the best model is in out, the state and the curve in work."""
    from tqdm import tqdm

    training = Training(data, question, plan)
    state_file = work / "state.pt"
    if resume and state_file.exists():
        training.restore(torch.load(state_file, weights_only=True))
    began, losses = time.monotonic(), []
    with tqdm(total=plan.steps, initial=training.step, unit="step", mininterval=10, smoothing=0.02) as bar:
        while training.step < plan.steps:
            losses.append(training.advance())
            bar.update(1)
            bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}", refresh=False)
            if training.step % plan.check_every == 0 or training.step == plan.steps:
                row = {"step": training.step, "loss": sum(losses) / len(losses), **training.check()}
                row["minutes"] = (time.monotonic() - began) / 60
                losses = []
                _keep(training, row, out, work)
                bar.write(json.dumps({key: round(value, 4) for key, value in row.items()}))
    return training


def _keep(training: Training, row: Dict[str, float], out: Path, work: Path) -> None:
    """Remember what was measured; save the model when it is the best so far."""
    training.curve.append(row)
    save_state(training.state(), work / "state.pt")
    (work / "curve.json").write_text(json.dumps(training.curve, indent=1))
    _draw(training.curve, work / "curve.png")
    if row["validation_loss"] <= min(one["validation_loss"] for one in training.curve):
        plan = asdict(training.plan)
        save_model(training.average.module, training.tokenizer, training.question, plan, row, out)


def _draw(curve: List[Dict[str, float]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    steps = [row["step"] for row in curve]
    left.plot(steps, [row["loss"] for row in curve], "C0-", label="loss, training frames")
    left.plot(steps, [row["validation_loss"] for row in curve], "C1-", label="loss of the verdict, validation frames")
    right.plot(steps, [100 * row["right"] for row in curve], "C2--", label="right, validation frames (%)")
    left.set(xlabel="steps", ylabel="loss", yscale="log")
    right.set(ylabel="right (%)", ylim=(50, 100))
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the duckling.")
    parser.add_argument("--data", type=Path, default=Path("data/train"), help="folder made by learning.render")
    parser.add_argument("--out", type=Path, default=Path("models/duckling"), help="folder of the model")
    parser.add_argument("--work", type=Path, default=Path("out/training"), help="folder of state and curve")
    parser.add_argument("--questions", type=Path, default=Path("config/questions.yaml"))
    parser.add_argument("--question", default="road")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-rate", type=float, default=Plan.peak_rate)
    parser.add_argument("--resume", action="store_true", help="go on where <work>/state.pt ends")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    question = questions_from(yaml.safe_load(args.questions.read_text()))[args.question]
    can_compile = shutil.which("g++") is not None
    plan = Plan(args.steps, args.seed, peak_rate=args.peak_rate, compile_tower=can_compile)
    train(args.data, args.out, args.work, question, plan, resume=args.resume)


if __name__ == "__main__":
    main()
