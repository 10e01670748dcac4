"""A model that is in memory already, with its text layers quantised: for measuring without a checkpoint on disk.

Promise: the same layers become the same classes as vlm/precision.py makes of a checkpoint's.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Optional

import torch
from torch import nn

from duck_protection.vlm.precision import FP8_CAPABILITY, NEEDS


def cannot(dtype: str, device: torch.device) -> Optional[str]:
    """Why this cannot be had here; None: it can."""
    missing = [name for name in NEEDS[dtype] if importlib.util.find_spec(name) is None]
    if missing:
        return f"needs {' and '.join(missing)}, which is not installed"
    if dtype == "fp8" and (device.type != "cuda" or torch.cuda.get_device_capability(device) < FP8_CAPABILITY):
        return "needs a GPU of compute capability 8.9 or more"
    return None


def quantise(model: Any, dtype: str) -> None:
    """In place, layer by layer."""
    layers = model.model.language_model.layers
    if dtype == "fp8":
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

        for layer in layers:  # the engine's joined matrices go with the parts that become 8-bit
            quantize_(layer, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()))
        return
    for layer in layers:
        for name, module in list(layer.named_modules()):
            if isinstance(module, nn.Linear):
                parent, _, own = name.rpartition(".")
                setattr(layer.get_submodule(parent), own, _bits(module, dtype))


def _bits(linear: nn.Linear, dtype: str) -> nn.Module:
    import bitsandbytes as bnb

    wide_in, wide_out, biased = linear.in_features, linear.out_features, linear.bias is not None
    device, weight = linear.weight.device, linear.weight.detach().cpu().clone()
    with torch.device("meta"):  # drawing 68 million numbers that are thrown away takes half a second
        if dtype == "8bit":
            new = bnb.nn.Linear8bitLt(wide_in, wide_out, bias=biased, has_fp16_weights=False)
        else:
            new = bnb.nn.Linear4bit(wide_in, wide_out, bias=biased, compute_dtype=torch.bfloat16, quant_type="nf4")
    if dtype == "8bit":
        new.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    else:
        new.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
    new.bias = linear.bias
    return new.to(device)
