"""From a folder (or a hub name) to a FastVLM in memory: weights, tokenizer, picture size and revision.

Answers: what is this checkpoint, and is it whole? Reads transformers' native layout (config.json with model_type
fast_vlm, *.safetensors, tokenizer.json). Promise: no remote code runs, no pickle is read, and whatever is missing,
broken or of another kind ends in one LoadError that says what to do.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from duck_protection.vlm import apple_layout, chatml, folders, hub, memory, precision
from duck_protection.vlm.base import LoadError
from duck_protection.vlm.torch_errors import mapped_errors

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers.models.fast_vlm.configuration_fast_vlm import FastVlmConfig
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration



@dataclass(frozen=True)
class Checkpoint:
    """A loaded FastVLM, in evaluation mode on its device.

    Args:
        side_px: Side of the square picture that the model takes.
        dtype: One of precision.DTYPES.
    """

    model: FastVlmForConditionalGeneration
    tokenizer: Tokenizer
    side_px: int
    name: str
    revision: str
    dtype: str

    @property
    def image_tokens(self) -> int:
        """How many tokens one picture becomes."""
        return (self.side_px // folders.STRIDE_PX) ** 2


def load_checkpoint(name: str, device: str = "auto", dtype: str = "auto") -> Checkpoint:
    """The checkpoint in this folder, or of this name on the hub ("owner/model", "owner/model@revision").

    Args:
        device: "cpu", "cuda", "cuda:1", or "auto" (the first GPU if there is one).
        dtype: One of precision.DTYPES, or "auto": float32 on the CPU, the checkpoint's own on a GPU.

    Raises:
        LoadError: It cannot be loaded, or would not fit; the message says what to do. Do not start.
        MemoryFullError: It did not fit after all.
    """
    folder, revision = _locate(name)
    content = folders.read_json(folder / "config.json")
    weights = folders.weight_files(folder)
    where = _device(device)
    kind = precision.chosen(dtype, where, str(content.get("dtype") or content.get("torch_dtype") or "bfloat16"))
    tokenizer, side_px = folders.read_tokenizer(folder, content), folders.side_px(folder, content)
    _check_memory(weights, kind, side_px, where, folder)
    with mapped_errors():
        model = _model(folder, _config(content, folder), kind, where, content)
    _check_tokenizer(tokenizer, model, folder)
    return Checkpoint(model, tokenizer, side_px, _short(name), revision or folders.fingerprint(weights), kind)


def _locate(name: str) -> Tuple[Path, str]:
    """The folder, and the hub's commit when it came from there."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder, ""
    if not hub.is_name(name):
        raise LoadError(f"no model folder {name}: train one (duck_protection.learning.train) or name one on the hub")
    fetched = hub.locate(name)
    return fetched.folder, fetched.commit


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise LoadError(f"device must be auto, cpu, cuda or cuda:N, is {device!r}")
    if device != "cpu" and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise LoadError(f"device {device} is not here ({torch.cuda.device_count()} GPUs): use device cpu or auto")
    return device


def _check_memory(weights: List[Path], dtype: str, side_px: int, device: str, folder: Path) -> None:
    try:
        numbers = memory.numbers_in(weights)
    except Exception as err:  # a broken header
        raise LoadError(f"the weights in {folder} cannot be loaded ({err}): copy the model again") from err
    sentence = memory.too_small(numbers, dtype, side_px, device, memory.free_bytes(device))
    if sentence is not None:
        raise LoadError(f"{folder.name}: {sentence}")


def _config(content: Dict[str, Any], folder: Path) -> FastVlmConfig:
    from transformers.models.fast_vlm.configuration_fast_vlm import FastVlmConfig

    kind, apples = content.get("model_type"), apple_layout.is_apples(content)
    if not apples and kind != FastVlmConfig.model_type:
        raise LoadError(f"{folder} holds a {kind!r} model: only FastVLM ({FastVlmConfig.model_type!r}, or Apple's "
                        f"{apple_layout.MODEL_TYPE!r}) can be loaded here")
    try:
        return FastVlmConfig.from_dict(apple_layout.native_config(content) if apples else content)
    except Exception as err:  # strict dataclasses raise half a dozen kinds on values they dislike
        raise LoadError(f"{folder}/config.json describes no FastVLM ({err}): copy the model again") from err


def _model(
    folder: Path, config: FastVlmConfig, dtype: str, device: str, content: Dict[str, Any]
) -> FastVlmForConditionalGeneration:
    import torch
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration
    from transformers.utils import logging

    apples = apple_layout.is_apples(content)
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would warn of is checked below, and raised
    try:
        model, found = FastVlmForConditionalGeneration.from_pretrained(
            folder, config=config, dtype=getattr(torch, precision.arithmetic(dtype)), use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False, output_loading_info=True, key_mapping=apple_layout.KEYS if apples else None,
            **precision.loading_options(dtype, device),
        )  # fmt: skip
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as err:  # safetensors, torch and transformers each have their own errors for a broken file
        raise LoadError(f"the weights in {folder} cannot be loaded ({err}): copy the model again") from err
    unexpected = {key for key in found["unexpected_keys"] if not (apples and key == apple_layout.DROPPED)}
    wrong = {"missing": found["missing_keys"], "unexpected": unexpected, "of another shape": found["mismatched_keys"]}
    for what, keys in wrong.items():
        if keys:
            raise LoadError(f"the weights in {folder} do not fit config.json: {len(keys)} {what}, such as "
                            f"{sorted(map(str, keys))[0]}: copy the model again")
    return (model if dtype in precision.QUANTISED else model.to(device)).eval()


def _check_tokenizer(tokenizer: Tokenizer, model: FastVlmForConditionalGeneration, folder: Path) -> None:
    try:
        image = chatml.special_id(tokenizer, chatml.IMAGE)
        for token in (chatml.START, *chatml.END_TOKENS):
            chatml.special_id(tokenizer, token)
    except KeyError as err:
        raise LoadError(f"the tokenizer in {folder} has no token {err}: it is not FastVLM's") from err
    configured = model.config.image_token_index
    if image != configured:
        raise LoadError(f"{folder} has <image> at {image} in its tokenizer, at {configured} in config.json")


def _short(name: str) -> str:
    return name if not Path(name).is_dir() else Path(name).resolve().name
