"""The book of threshold records: which thresholds were measured for which model and question.

Written by the evaluation (learning/evaluate.py), read by duck_protection_node. Promise: a record is used only
when model, revision, dtype, backend and question version all match; near misses get FALLBACK, never a guess.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Tuple

from duck_protection.verdict import FALLBACK, Identity, Thresholds

Key = Tuple[str, str, str, str, str]


@dataclass(frozen=True)
class ThresholdBook:
    """Threshold records by (model, revision, dtype, backend, question key)."""

    records: Mapping[Key, Thresholds]

    def lookup(self, identity: Identity, question_key: str) -> Thresholds:
        """The record made for exactly this model and question, else FALLBACK (calibrated=False)."""
        return self.records.get(_key(identity, question_key), FALLBACK)


def book_from(entries: Iterable[Mapping[str, Any]]) -> ThresholdBook:
    """The book, from the content of config/thresholds.yaml (a list of records).

    Raises:
        ValueError: A record lacks a key or a threshold is out of range; the message names it. Do not start.
    """
    records = {}
    for number, entry in enumerate(entries):
        try:
            identity = Identity(*(str(entry[key]) for key in ("model", "revision", "dtype", "backend")))
            stop_at, clear_at, max_off_mass = (float(entry[key]) for key in ("stop_at", "clear_at", "max_off_mass"))
            records[_key(identity, str(entry["question"]))] = Thresholds(stop_at, clear_at, max_off_mass)
        except KeyError as err:
            raise ValueError(f"threshold record {number}: missing key {err}") from err
        except (TypeError, ValueError) as err:
            raise ValueError(f"threshold record {number}: {err}") from err
    return ThresholdBook(records)


def _key(identity: Identity, question_key: str) -> Key:
    return (identity.model, identity.revision, identity.dtype, identity.backend, question_key)
