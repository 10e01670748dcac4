"""What vlm_node's ~shadow has recorded on a drive, in numbers: how often the two agreed, and how long each took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from duck_protection.recording.intervals import share

BLOCK_S = 5.0  # readings of so many seconds belong together


def summary(folder: Path) -> Dict[str, Any]:
    """The numbers of readings.jsonl.

    Raises:
        ValueError: Nothing was recorded there.
    """
    file = folder / "readings.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    if not lines:
        raise ValueError(f"{folder} has no readings of a shadow: vlm_node with ~shadow writes them")
    read = [one for one in lines if one["shadow"] is not None]
    blocks = [int(one["stamp_s"] / BLOCK_S) for one in read]
    return {
        "driver": lines[-1]["driver"]["model"], "shadow": lines[-1]["shadow_model"],
        "read": len(read), "failed": len(lines) - len(read), "dropped": lines[-1]["dropped"],
        "same": share([one["same"] for one in read], blocks).plain(),
        "driver_ms": _quantiles([one["driver"]["infer_ms"] for one in lines]),
        "shadow_ms": _quantiles([one["shadow"]["infer_ms"] for one in read]),
    }  # fmt: skip


def _quantiles(values: List[float]) -> List[Any]:
    """p50 and p95, or None for each where there is nothing."""
    return [float(one) for one in np.quantile(values, [0.5, 0.95])] if values else [None, None]
