"""Which numbers a model computes with: 32 or 16 bits, or the text model's matrices in 8 or 4.

Answers: what does a dtype setting mean on this device, and can it be had here? Quantised are only the text model's
layers, 84 % of FastVLM-7B: tower, projector, embedding and output head stay in bfloat16. int8 and 4-bit (bitsandbytes)
save memory, not time; fp8 (torchao, cards of compute capability 8.9 or more) saves both. Promise: a setting that
cannot work here is a LoadError before anything is read.
"""
from __future__ import annotations

import importlib.util
from typing import Any, Dict

from duck_protection.vlm.base import LoadError

PLAIN = ("float32", "bfloat16", "float16")
QUANTISED = ("8bit", "4bit", "fp8")
DTYPES = (*PLAIN, *QUANTISED)
NEEDS = {"8bit": ("bitsandbytes", "accelerate"), "4bit": ("bitsandbytes", "accelerate"), "fp8": ("torchao",)}
UNTOUCHED = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]  # whole names: parts of one match nothing
FP8_CAPABILITY = (8, 9)  # Ada and Hopper: the first with 8-bit floating point matrix units


def chosen(dtype: str, device: str, own: str) -> str:
    """The setting in full: "auto" is float32 on a CPU and the checkpoint's own on a GPU.

    Raises:
        LoadError: There is no such setting, or not here.
    """
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else own
    if dtype not in DTYPES:
        raise LoadError(f"dtype must be auto or one of {', '.join(DTYPES)}, is {dtype!r}")
    missing = [name for name in NEEDS.get(dtype, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise LoadError(f"dtype {dtype} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    if dtype == "fp8":
        _check_fp8(device)
    return dtype


def arithmetic(dtype: str) -> str:
    """The type in which activations are computed."""
    return dtype if dtype in PLAIN else "bfloat16"


def loading_options(dtype: str, device: str) -> Dict[str, Any]:
    """What from_pretrained must be told for a quantised model; nothing for others."""
    if dtype not in QUANTISED:
        return {}
    return {"quantization_config": _quantisation(dtype), "device_map": {"": device}}


def _quantisation(dtype: str) -> Any:
    import torch
    import transformers

    if dtype == "fp8":
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow

        kind = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
        return transformers.TorchAoConfig(quant_type=kind, modules_to_not_convert=UNTOUCHED)
    if dtype == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=UNTOUCHED)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16, llm_int8_skip_modules=UNTOUCHED,
    )  # fmt: skip


def _check_fp8(device: str) -> None:
    import torch

    if device == "cpu":
        raise LoadError("dtype fp8 needs a GPU: use bfloat16 or 4bit")
    found = torch.cuda.get_device_capability(device)
    if found < FP8_CAPABILITY:
        raise LoadError(f"dtype fp8 needs a card of compute capability 8.9 or more, {device} has "
                        f"{found[0]}.{found[1]}: use bfloat16, 8bit or 4bit")
