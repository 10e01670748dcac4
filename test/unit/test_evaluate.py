"""Scores and thresholds: chosen on some frames, reported on others, written where the robot reads them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from duck_protection.learning import evaluate
from duck_protection.learning.choosing import Reading, choose_thresholds
from duck_protection.learning.dataset import FrameSet
from duck_protection.question import Choice, Question
from duck_protection.thresholds import book_from
from duck_protection.verdict import Identity, Level, Reply, Thresholds, judge
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

CHOICES = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
QUESTION = Question("road", 1, "Is a duck near?", CHOICES)
LEVELS = [choice.level for choice in CHOICES]
EYES = Identity("duckling", "0123456789ab", "float32", "fastvlm")


def reading(clear: float, slow: float, stop: float, truth: Level, off_mass: float = 0.001) -> Reading:
    return Reading(Reply((clear, slow, stop), off_mass, "", EYES), truth)


triples = st.tuples(*[st.floats(0.001, 1)] * 3).map(lambda three: tuple(part / sum(three) for part in three))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(triples, st.sampled_from([Level.CLEAR, Level.SLOW, Level.STOP])), min_size=1, max_size=30))
def test_no_stop_of_the_choosing_frames_is_judged_clear(drawn: list[tuple[tuple[float, ...], Level]]) -> None:
    readings = [Reading(Reply(three, 0.0, "", EYES), truth) for three, truth in drawn]
    readings.append(reading(0.1, 0.2, 0.7, Level.STOP))
    thresholds = choose_thresholds(readings, QUESTION)
    judged = [judge(one.reply, LEVELS, thresholds).level for one in readings if one.truth is Level.STOP]
    assert Level.CLEAR not in judged


def test_thresholds_need_a_stop_to_learn_from() -> None:
    with pytest.raises(ValueError, match="deserve STOP"):
        choose_thresholds([reading(0.9, 0.1, 0.0, Level.CLEAR)], QUESTION)


def test_good_readings_are_all_judged_right() -> None:
    good = [
        reading(0.98, 0.015, 0.005, Level.CLEAR),
        reading(0.2, 0.75, 0.05, Level.SLOW),
        reading(0.01, 0.19, 0.8, Level.STOP),
    ]
    thresholds = choose_thresholds(good * 5, QUESTION)
    assert evaluate.score(good, QUESTION, thresholds).accuracy == 1.0


def test_scores_count_what_matters() -> None:
    thresholds = Thresholds(0.5, 0.5, 0.1)
    readings = [
        reading(0.9, 0.1, 0.0, Level.CLEAR),
        reading(0.1, 0.1, 0.8, Level.CLEAR),  # a false stop
        reading(0.1, 0.8, 0.1, Level.SLOW),
        reading(0.9, 0.1, 0.0, Level.SLOW),  # a danger missed
        reading(0.0, 0.1, 0.9, Level.STOP),
        reading(0.0, 0.9, 0.1, Level.STOP),
        reading(0.9, 0.0, 0.1, Level.STOP),  # the worst
        reading(0.9, 0.0, 0.1, Level.STOP, off_mass=0.5),  # UNKNOWN stops too
    ]
    got = evaluate.score(readings, QUESTION, thresholds)
    assert got.confusion == ((0, 1, 0, 1), (0, 1, 1, 0), (1, 1, 1, 1))
    assert (got.n, got.accuracy, got.stop_recall) == (8, 3 / 8, 1 / 4)
    assert (got.stop_judged_clear, got.false_stop_frames) == (1, 1)
    assert got.danger_recall == pytest.approx(4 / 6)
    assert "STOP judged CLEAR 1" in evaluate.table("test", got)


def test_frames_are_read_through_the_vlm_in_batches(tmp_path: Path, picture: np.ndarray) -> None:
    (tmp_path / "frames").mkdir()
    labels = []
    for number in range(20):
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG")
        (tmp_path / f"frames/{number}.jpg").write_bytes(out.getvalue())
        labels.append({"file": f"frames/{number}.jpg", "level": "STOP" if number % 2 else "CLEAR", "ducks": []})
    files = [tmp_path / label["file"] for label in labels]
    frames = FrameSet(files, labels, [np.zeros((1, 1, 3), np.uint8)] * 20, np.arange(20) // 4)
    vlm = ScriptedVlm(lines_from([{"probabilities": {"Stop": 0.9, "Clear": 0.1}}]))
    readings = evaluate.read(vlm, frames, list(range(20)), QUESTION)
    assert vlm.batches == [16, 4]
    assert [one.truth for one in readings[:3]] == [Level.CLEAR, Level.STOP, Level.CLEAR]


def test_a_record_replaces_its_own_kind_and_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_text("# Why this file exists.\n[]\n")
    chosen = Thresholds(0.2, 0.93, 0.05)
    for model, limits in (("duckling", Thresholds(0.3, 0.6, 0.1)), ("other", chosen), ("duckling", chosen)):
        eyes = Identity(model, EYES.revision, EYES.dtype, EYES.backend)
        evaluate.write_record(file, evaluate.record(eyes, QUESTION.key, limits, 100, "2026-01-01"))
    assert file.read_text().startswith("# Why this file exists.\n")
    entries = yaml.safe_load(file.read_text())
    assert [entry["model"] for entry in entries] == ["other", "duckling"]
    assert json.loads(json.dumps(entries[1]))["n"] == 100
    assert book_from(entries).lookup(EYES, QUESTION.key) == chosen


def test_a_forgiven_stop_has_no_say_and_is_not_forgotten_otherwise() -> None:
    stops = [reading(0.02, 0.08, 0.9, Level.STOP)] * 399 + [reading(0.999, 0.001, 0.0, Level.STOP)]
    readings = [*stops, *[reading(0.95, 0.04, 0.01, Level.CLEAR)] * 50]
    assert choose_thresholds(readings, QUESTION).clear_at > 0.96
    forgiving = choose_thresholds(readings, QUESTION, forgiven=0.0025)
    assert forgiving.clear_at < 0.96
    assert evaluate.score(readings, QUESTION, forgiving).stop_judged_clear == 1


@pytest.mark.parametrize("share", [-0.01, 1.0, 25.0, float("nan")])
def test_only_a_share_can_be_forgiven(share: float) -> None:
    with pytest.raises(ValueError, match="must be a share"):
        choose_thresholds([reading(0.0, 0.1, 0.9, Level.STOP)], QUESTION, forgiven=share)


def test_a_record_tells_what_was_forgiven() -> None:
    assert evaluate.record(EYES, QUESTION.key, Thresholds(0.2, 0.9, 0.1), 10, "today", 0.0025)["forgiven"] == 0.0025
    assert "forgiven" not in evaluate.record(EYES, QUESTION.key, Thresholds(0.2, 0.9, 0.1), 10, "today")
