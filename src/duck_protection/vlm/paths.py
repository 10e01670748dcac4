"""The two ways through a loaded model: the plain one, and the fast one where any shortcut is on.

Answers: what computes this checkpoint's logits? Promise: graphs only where there is a GPU and the arithmetic allows a
recording (bitsandbytes' layers decide on the CPU what to do, so theirs is not recorded).
"""
from __future__ import annotations

from typing import Optional, Sequence, Tuple

from duck_protection.vlm.checkpoints import Checkpoint
from duck_protection.vlm.fast import FastPath
from duck_protection.vlm.graphs import Capture, CudaCapture
from duck_protection.vlm.optimisations import Optimisations
from duck_protection.vlm.plain import PlainPath
from duck_protection.vlm.prompts import Prompts

RECORDABLE = ("float32", "bfloat16", "float16", "fp8")


def paths_of(
    checkpoint: Checkpoint, prompts: Prompts, chosen: Optimisations, batches: Sequence[int],
    capture: Optional[Capture] = None,
) -> Tuple[PlainPath, Optional[FastPath]]:
    """Both ways; the second is None when no shortcut is on.

    Args:
        capture: Records steps in place of CUDA graphs, wherever they could be recorded: for rehearsals without a GPU.
    """
    model = checkpoint.model
    plain = PlainPath(model, checkpoint.side_px, prompts.end)
    if not chosen.any:
        return plain, None
    if chosen.graphs and capture is None:
        capture = CudaCapture()
    if checkpoint.dtype not in RECORDABLE:
        capture = None
    return plain, FastPath(model, checkpoint.side_px, prompts, chosen, model.device, capture, batches)
