"""Writes a trained model as a folder that the engine loads, and a training's state for --resume.

The folder has transformers' native FastVlm layout: config.json, model.safetensors, tokenizer.json,
preprocessor_config.json, generation_config.json, and a README.md that says what the model is. Promise: a folder or
file is replaced whole or not at all, only a model's folder is replaced, and no pickle is written into one.
"""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

from duck_protection.question import Question
from duck_protection.vlm import chatml

CARD = """# {name}

A thin FastVLM ({parameters:.1f} million parameters) that judges the road ahead of a Duckiebot. It has FastVLM's own
vision tower (`fastvit_mci3`, narrow), projector and Qwen2 text model, and the same prompt path; it knows toy roads
and rubber ducks and nothing else. Trained from scratch by `duck_protection.learning.train` on frames rendered by
`duck_protection.learning.render`; {licence}

- **Question** `{question}`: {prompt} Answers: {words}.
- **Input**: {side} x {side} pixels, the camera's picture padded to a square with black.
- **Free questions** it was taught: {lessons}
- **Training**: {steps} steps of {batch} frames, seed {seed}; validation at step {step}: {right:.1%} right,
  {missed} STOP called Clear without thresholds.
- **Limits**: rendered towns only. Real cameras, other ducks and other lighting were never seen; measure before
  driving (`./run evaluate`), and drive only with a threshold record for exactly this revision.

## Measured

{begin}
Nothing yet.
{end}
"""

OWN_LICENCE = "no weights, data or assets of anybody else. Licence: MIT, as the project."
OFFICIAL_TERMS = """tiles and meshes of some frames are Duckietown's own, under
the Duckietown Software Terms of Use, which hold for this model too: personal, class and research use with
acknowledgement, **no commercial use**."""


def check_place(out: Path) -> None:
    """A model may be written here.

    Raises:
        ValueError: Something else is there, which would be lost.
    """
    full = any(out.iterdir()) if out.is_dir() else out.exists()
    if full and not (out / "config.json").is_file():
        raise ValueError(f"{out} is there and is no model's folder (it has no config.json): name another one")


def save_model(
    model: FastVlmForConditionalGeneration, tokenizer: Tokenizer, question: Question, plan: Dict[str, Any],
    measured: Dict[str, float], out: Path, card: str = "",
) -> None:
    """The model as a folder, in the place of the model that was there.

    Args:
        plan: As asdict(Plan) has it; with "official" when Duckietown's own files painted some frames, and with
            "begun_with", the name of the model whose weights were the first ones.
        card: Its README.md; without one, that of a model trained from scratch.

    Raises:
        ValueError: As check_place().
    """
    check_place(out)
    fresh, aside = (out.with_name(f".{out.name}.{name}") for name in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()  # the input embedding's own numbers
    weights = {key: value.detach().contiguous() for key, value in model.state_dict().items() if key not in tied}
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    config["dtype"] = str(next(iter(weights.values())).dtype).replace("torch.", "")
    ends = [chatml.special_id(tokenizer, token) for token in chatml.END_TOKENS]
    _write_json(fresh / "config.json", config)
    _write_json(fresh / "generation_config.json", {"do_sample": False, "eos_token_id": ends, "pad_token_id": ends[-1]})
    _write_json(fresh / "preprocessor_config.json", _preprocessor(plan["sizes"]["side_px"]))
    tokenizer.save(str(fresh / "tokenizer.json"))
    (fresh / "README.md").write_text(card or _card(model, question, plan, measured, out.name))
    if out.exists():
        shutil.rmtree(aside, ignore_errors=True)
        out.replace(aside)
    fresh.replace(out)
    shutil.rmtree(aside, ignore_errors=True)


def save_state(state: Dict[str, Any], file: Path) -> None:
    """A training's state; read it with weights_only=True."""
    fresh = file.with_name(f".{file.name}.new")
    torch.save(state, fresh)
    fresh.replace(file)


def _preprocessor(side_px: int) -> Dict[str, Any]:
    """What CLIPImageProcessor would need; the engine takes the size from it and pads instead of cropping."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": side_px},
        "crop_size": {"height": side_px, "width": side_px},
        "do_normalize": True,
        "image_mean": [0.0, 0.0, 0.0],
        "image_std": [1.0, 1.0, 1.0],
        "resample": 3,
    }


def _card(
    model: FastVlmForConditionalGeneration, question: Question, plan: Dict[str, Any], measured: Dict[str, float],
    name: str,
) -> str:
    from duck_protection.learning import card, lessons

    return CARD.format(
        name=name, parameters=sum(p.numel() for p in model.parameters()) / 1e6, question=question.key,
        prompt=question.prompt, words=", ".join(question.words), side=plan["sizes"]["side_px"],
        lessons=" ".join(lessons.PROMPTS), steps=plan["steps"], batch=plan["batch"], seed=plan["seed"],
        step=int(measured["step"]), right=measured["right"], missed=int(measured["stop_said_clear"]),
        licence=_licence(plan), begin=card.BEGIN, end=card.END,
    )  # fmt: skip


def _licence(plan: Dict[str, Any]) -> str:
    own = OFFICIAL_TERMS if plan.get("official") else OWN_LICENCE
    begun = plan.get("begun_with")
    return f"{own} It began with the weights of {begun}, and the terms of that model hold for it too." if begun else own


def _write_json(file: Path, content: Dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")
