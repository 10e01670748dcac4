"""A threshold record serves exactly the model and question it was measured for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from duck_protection.thresholds import book_from
from duck_protection.verdict import FALLBACK, Identity, Thresholds

EYES = Identity("duckling", "0123", "float32", "fastvlm")
RECORD = {
    "model": "duckling", "revision": "0123", "dtype": "float32", "backend": "fastvlm", "question": "road@1",
    "stop_at": 0.2, "clear_at": 0.8, "max_off_mass": 0.1, "n": 2000,
}  # fmt: skip
SHIPPED = Path(__file__).parents[2] / "config" / "thresholds.yaml"


def test_the_record_that_fits_is_used() -> None:
    assert book_from([RECORD]).lookup(EYES, "road@1") == Thresholds(0.2, 0.8, 0.1, calibrated=True)


@pytest.mark.parametrize("field", ["model", "revision", "dtype", "backend"])
def test_another_model_gets_the_fallback(field: str) -> None:
    assert book_from([RECORD]).lookup(replace(EYES, **{field: "other"}), "road@1") is FALLBACK


def test_another_version_of_the_question_gets_the_fallback() -> None:
    assert book_from([RECORD]).lookup(EYES, "road@2") is FALLBACK


@pytest.mark.parametrize("key", sorted(set(RECORD) - {"n"}))
def test_a_missing_key_is_named(key: str) -> None:
    broken = {name: value for name, value in RECORD.items() if name != key}
    with pytest.raises(ValueError, match=f"threshold record 1: missing key '{key}'"):
        book_from([RECORD, broken])


@pytest.mark.parametrize(("key", "value"), [("stop_at", 0.9), ("clear_at", "often"), ("max_off_mass", None)])
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match="threshold record 0"):
        book_from([{**RECORD, key: value}])


def test_a_revision_of_digits_is_text() -> None:
    """YAML reads an unquoted 123456789012 as a number; the lookup must still find it."""
    book = book_from([{**RECORD, "revision": 123456789012}])
    assert book.lookup(replace(EYES, revision="123456789012"), "road@1").calibrated


def test_shipped_records_load() -> None:
    assert book_from(yaml.safe_load(SHIPPED.read_text()) or []).records
