"""How much memory a model will need, from the headers of its weight files, before a single weight is read.

Answers: does it fit, and if not, which setting does? Promise: an estimate on the safe side of a few per cent; a device
that is too small is one sentence that names a setting that fits, or says that none does.
"""
from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional

from duck_protection.vlm.precision import DTYPES

BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
# Bytes of a quantised number with its scales: int8 and fp8 one float32 for each row; nf4 with double quantisation one
# byte for each 64 and a float32 for each 256 of those (QLoRA, arXiv 2305.14314, section 3): 0.5 + 1/64 + 4/64/256.
QUANTISED = {"8bit": 1.002, "fp8": 1.002, "4bit": 0.516}
LAYER = re.compile(r"\blayers\.\d+\.(self_attn|mlp)\.\w+\.weight$")
STEM = re.compile(r"\b(stem|patch_embed)\.0\.reparam_conv\.weight$")
GPU_CONTEXT_BYTES = 0.6e9  # CUDA's own, with cuBLAS and cuDNN; estimated, not measured
FULL_MAPS = 6  # pictures of the tower's widest maps alive at once: input, output and cuDNN's working space


@dataclass(frozen=True)
class Numbers:
    """How many numbers a checkpoint has."""

    layers: int  # in the text model's matrices, which can be quantised
    others: int
    tower_width: int  # of the tower's first maps

    def bytes(self, dtype: str, side_px: int, batch: int = 1) -> float:
        """Of weights and of the work on a batch."""
        plain = BYTES.get(dtype, 2.0)
        weights = self.layers * QUANTISED.get(dtype, plain) + self.others * plain
        maps = FULL_MAPS * batch * self.tower_width * (side_px / 2) ** 2 * plain
        return weights + maps


def numbers_in(files: Iterable[Path]) -> Numbers:
    """Counted in the headers of safetensors files (eight bytes of length, then JSON); nothing else is read.

    Raises:
        ValueError, OSError: That is no such file.
    """
    layers = others = tower_width = 0
    for file in files:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, about in header.items():
            if name == "__metadata__":
                continue
            count = math.prod(about["shape"])
            if LAYER.search(name):
                layers += count
            else:
                others += count
            if STEM.search(name):
                tower_width = about["shape"][0]
    return Numbers(layers, others, tower_width)


def too_small(numbers: Numbers, dtype: str, side_px: int, device: str, free_bytes: float) -> Optional[str]:
    """The sentence for a device with less free memory than this setting needs; None when it fits."""
    needs = {one: numbers.bytes(one, side_px) + _context(device) for one in _settings(device, dtype)}
    if needs[dtype] <= free_bytes:
        return None
    sentence = f"dtype {dtype} needs about {_gb(needs[dtype])}, {device} has {_gb(free_bytes)} free: "
    fitting = [one for one in needs if needs[one] <= free_bytes and one != dtype]
    if fitting:
        best = max(fitting, key=lambda one: needs[one])
        return sentence + f"use dtype {best}, which needs about {_gb(needs[best])}"
    least = min(needs, key=lambda one: needs[one])
    return sentence + f"no setting fits, {least} would need {_gb(needs[least])}: take a smaller model or another device"


def free_bytes(device: str) -> float:
    """Of a GPU, or of this machine."""
    import torch

    if device != "cpu":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1024
    except (OSError, StopIteration):
        return float("inf")


def _settings(device: str, asked: str) -> List[str]:
    """What can be named; not every card has fp8, and a CPU is too slow for the others."""
    usual = BYTES if device == "cpu" else [*BYTES, "8bit", "4bit"]
    return [one for one in DTYPES if one in usual or one == asked]


def _context(device: str) -> float:
    return 0.0 if device == "cpu" else GPU_CONTEXT_BYTES


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

