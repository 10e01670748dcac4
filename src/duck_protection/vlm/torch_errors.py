"""Torch's errors in our words, where they arise.

Answers: is this one a full memory, a model that failed, or a card that is lost? Promise: an error that is none of
them is not hidden.
"""
from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import Iterator, Optional

import torch

from duck_protection.vlm.base import AnswerError, DeviceLostError, MemoryFullError


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turns torch's errors into VlmErrors; after a full memory, what the failed attempt held is given back first."""
    error: Optional[BaseException] = None
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as err:
        error = err
    except RuntimeError as err:
        if "alloc" not in str(err):  # "DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED"
            if _device_is_lost():
                raise DeviceLostError(f"the device is lost to this process: {err}") from err
            raise AnswerError(f"the model failed: {err}") from err
        error = err
    if error is not None:
        traceback.clear_frames(error.__traceback__)  # their tensors would outlive it, and fill the next attempt too
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryFullError(f"the device is out of memory: {error}") from error


def _device_is_lost() -> bool:
    """Whether a card that we use refuses the simplest work; after an illegal access it does so as long as we live."""
    if not torch.cuda.is_initialized():
        return False
    try:
        for card in range(torch.cuda.device_count()):
            if torch.cuda.memory_reserved(card):  # the others are not ours: asking would cost their memory
                torch.cuda.synchronize(card)
                torch.ones(1, device=f"cuda:{card}").item()
    except torch.OutOfMemoryError:
        return False
    except RuntimeError:
        return True
    return False
