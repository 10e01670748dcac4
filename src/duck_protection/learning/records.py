"""Threshold records: what an evaluation writes into config/thresholds.yaml, and whether one is there already.

Promise: a record takes the place of the one with the same key, and no other; the file's leading comment stays.
"""
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Optional

import yaml

from duck_protection.verdict import Identity, Thresholds

LIMITS = ("stop_at", "clear_at", "max_off_mass")
KEYS = ("model", "revision", "dtype", "backend", "question")


def record(
    identity: Identity, question: str, thresholds: Thresholds, n: int, date: str, forgiven: float = 0.0
) -> Dict[str, Any]:
    """A line of config/thresholds.yaml, about a question's key.

    Args:
        forgiven: The share of STOPs that had no say, told where it is not nothing.
    """
    limits = {key: round(float(getattr(thresholds, key)), 4) for key in LIMITS}
    told = {"forgiven": forgiven} if forgiven else {}
    return {**asdict(identity), "question": question, **limits, **told, "n": n, "date": date}


def write_record(file: Path, entry: Dict[str, Any]) -> None:
    """Put a record into the file, in the place of one with the same key; the file's leading comment stays."""
    before = file.read_text() if file.exists() else ""
    comment = "".join(line + "\n" for line in before.splitlines() if line.startswith("#"))
    others = [one for one in yaml.safe_load(before) or [] if any(str(one[key]) != str(entry[key]) for key in KEYS)]
    file.write_text(comment + yaml.safe_dump([*others, entry], sort_keys=False, default_flow_style=False))


def find_record(file: Path, identity: Identity, question: str) -> Optional[Dict[str, Any]]:
    """The record for exactly this model and question, if the file has one."""
    wanted = {**asdict(identity), "question": question}
    entries = yaml.safe_load(file.read_text()) if file.exists() else None
    return next((one for one in entries or [] if all(str(one[key]) == str(wanted[key]) for key in KEYS)), None)


def thresholds_of(entry: Dict[str, Any]) -> Thresholds:
    """What a record says."""
    return Thresholds(*(float(entry[key]) for key in LIMITS))
