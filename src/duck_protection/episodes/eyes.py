"""The model's eyes in a drive: the camera's JPEG, decoded, asked about and judged as the nodes do it.

Answers: which level does this model see at this moment? Promise: the same stage and model give the same levels; the
engine is loaded once a process.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, List, Optional, Tuple

import torch
import torchvision  # noqa: F401  before any OpenGL: its triton brings LLVM, and a process that has Mesa's already dies
import yaml

from duck_protection.episodes import CampaignError
from duck_protection.frames import decode
from duck_protection.question import Question, questions_from
from duck_protection.simulation.episode import Episode, Moment
from duck_protection.simulation.staging import Stage
from duck_protection.thresholds import book_from
from duck_protection.verdict import Judgement, Level, Reply, Thresholds, judge
from duck_protection.vlm.fastvlm import FastVlm

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Sight:
    """One frame as it was seen and judged."""

    moment: Moment
    jpeg: bytes
    reply: Reply
    judgement: Judgement


class ModelEyes:
    """Callable as drive.Eyes. Args: kept: takes every sight, when given; for clips."""

    def __init__(self, stage: Stage, model: str, kept: Optional[List[Sight]] = None) -> None:
        self._camera = stage.photographer()
        self._vlm, self.question, self._thresholds = engine(model)
        self._levels = [choice.level for choice in self.question.choices]
        self._kept = kept

    def __call__(self, _: Episode, moment: Moment) -> Level:
        jpeg = self._camera.picture(moment)
        reply: Reply = self._vlm.choose([decode(jpeg)], [self.question])[0]
        judgement = judge(reply, self._levels, self._thresholds)
        if self._kept is not None:
            self._kept.append(Sight(moment, jpeg, reply, judgement))
        return judgement.level


@lru_cache(maxsize=1)
def engine(model: str) -> Tuple[Any, Question, Thresholds]:
    """The model, the driving question and the model's threshold record; one core's worth of threads.

    Raises:
        CampaignError: There is no threshold record for this model: it would stand in every drive.
    """
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2) if torch.cuda.is_available() else 1)
    config = ROOT / "config"
    question = questions_from(yaml.safe_load((config / "questions.yaml").read_text()))["road"]
    vlm = FastVlm(model, "auto", "auto")
    thresholds = book_from(yaml.safe_load((config / "thresholds.yaml").read_text()) or []).lookup(
        vlm.identity, question.key
    )
    if not thresholds.calibrated:
        raise CampaignError(f"no threshold record for {vlm.identity} and {question.key}: ./run evaluate writes one")
    return vlm, question, thresholds
