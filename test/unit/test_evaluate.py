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

from duck_protection.learning import asking, records
from duck_protection.learning.choosing import Reading, choose_thresholds
from duck_protection.learning.dataset import FrameSet
from duck_protection.learning.evaluation import Data, measure, mistakes, read
from duck_protection.learning.scores import score
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
    for readings in ([], [reading(0.9, 0.1, 0.0, Level.CLEAR)]):
        with pytest.raises(ValueError, match="deserve STOP"):
            choose_thresholds(readings, QUESTION)


def test_good_readings_are_all_judged_right() -> None:
    good = [
        reading(0.98, 0.015, 0.005, Level.CLEAR),
        reading(0.2, 0.75, 0.05, Level.SLOW),
        reading(0.01, 0.19, 0.8, Level.STOP),
    ]
    thresholds = choose_thresholds(good * 5, QUESTION)
    assert score(good, QUESTION, thresholds).right.share == 1.0


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
    got = score(readings, QUESTION, thresholds)
    assert got.confusion == ((0, 1, 0, 1), (0, 1, 1, 0), (1, 1, 1, 1))
    plain = got.plain()
    assert (got.n, plain["accuracy"], plain["stop_recall"]) == (8, 3 / 8, 1 / 4)
    assert (got.stop_judged_clear.hits, got.false_stops.hits) == (1, 1)
    assert (plain["stop_judged_clear"], plain["false_stop_frames"]) == (1 / 4, 1 / 2)
    assert plain["danger_recall"] == pytest.approx(3 / 6)  # an UNKNOWN stops, but saw nothing
    assert plain["counts"]["stop_recall"]["low"] < 1 / 4 < plain["counts"]["stop_recall"]["high"]


def test_photographs_tell_danger_from_none_and_slow_is_right_for_both() -> None:
    seen = [(0.1, 0.8, 0.1), (0.0, 0.1, 0.9), (0.9, 0.1, 0.0)]
    photographs = [Reading(Reply(p, 0.0, "", EYES), Level.SLOW, danger) for danger in (True, False) for p in seen]
    got = score(photographs, QUESTION, Thresholds(0.5, 0.5, 0.1))
    assert (got.danger_recall.hits, got.danger_recall.of) == (2, 3)
    assert (got.false_stops.hits, got.false_stops.of) == (1, 3)
    assert got.right.hits == 4 and got.stop_judged_clear.hits == 1 and not got.calibration


def test_thresholds_of_photographs_do_not_pay_for_a_slow_danger() -> None:
    """STOP or SLOW is as good: what counts is that nothing beside the road is a STOP."""
    dangers = [Reading(Reply((0.02, 0.60, 0.38), 0.0, "", EYES), Level.STOP, True)] * 9
    beside = [Reading(Reply((0.50, 0.20, 0.30), 0.0, "", EYES), Level.CLEAR, False)] * 9
    chosen = choose_thresholds([*dangers, *beside], QUESTION)
    got = score([*dangers, *beside], QUESTION, chosen)
    assert (got.danger_recall.share, got.false_stops.share) == (1.0, 0.0)


def test_frames_are_read_through_the_vlm_in_batches(tmp_path: Path, picture: np.ndarray) -> None:
    (tmp_path / "frames").mkdir()
    labels = []
    for number in range(20):
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG")
        (tmp_path / f"frames/{number}.jpg").write_bytes(out.getvalue())
        labels.append({"file": f"frames/{number}.jpg", "level": "STOP" if number % 2 else "CLEAR", "ducks": []})
    files = [tmp_path / label["file"] for label in labels]
    frames = FrameSet(files, labels, np.arange(20) // 4)
    vlm = ScriptedVlm(lines_from([{"probabilities": {"Stop": 0.9, "Clear": 0.1}}]))
    readings = read(vlm, frames, list(range(20)), QUESTION)
    assert vlm.batches == [16, 4]
    assert [one.truth for one in readings[:3]] == [Level.CLEAR, Level.STOP, Level.CLEAR]


def test_a_record_replaces_its_own_kind_and_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_text("# Why this file exists.\n[]\n")
    chosen = Thresholds(0.2, 0.93, 0.05)
    for model, limits in (("duckling", Thresholds(0.3, 0.6, 0.1)), ("other", chosen), ("duckling", chosen)):
        eyes = Identity(model, EYES.revision, EYES.dtype, EYES.backend)
        records.write_record(file, records.record(eyes, QUESTION.key, limits, 100, "2026-01-01"))
    assert file.read_text().startswith("# Why this file exists.\n")
    entries = yaml.safe_load(file.read_text())
    assert [entry["model"] for entry in entries] == ["other", "duckling"]
    assert json.loads(json.dumps(entries[1]))["n"] == 100
    assert book_from(entries).lookup(EYES, QUESTION.key) == chosen
    found = records.find_record(file, EYES, QUESTION.key)
    assert found is not None and records.thresholds_of(found) == chosen
    assert records.find_record(file, EYES, "road@2") is None
    assert records.find_record(tmp_path / "none.yaml", EYES, QUESTION.key) is None


def test_a_forgiven_stop_has_no_say_and_is_not_forgotten_otherwise() -> None:
    stops = [reading(0.02, 0.08, 0.9, Level.STOP)] * 399 + [reading(0.999, 0.001, 0.0, Level.STOP)]
    readings = [*stops, *[reading(0.95, 0.04, 0.01, Level.CLEAR)] * 50]
    assert choose_thresholds(readings, QUESTION).clear_at > 0.96
    forgiving = choose_thresholds(readings, QUESTION, forgiven=0.0025)
    assert forgiving.clear_at < 0.96
    assert score(readings, QUESTION, forgiving).stop_judged_clear.hits == 1


@pytest.mark.parametrize("share", [-0.01, 1.0, 25.0, float("nan")])
def test_only_a_share_can_be_forgiven(share: float) -> None:
    with pytest.raises(ValueError, match="must be a share"):
        choose_thresholds([reading(0.0, 0.1, 0.9, Level.STOP)], QUESTION, forgiven=share)


def test_a_record_tells_what_was_forgiven() -> None:
    assert records.record(EYES, QUESTION.key, Thresholds(0.2, 0.9, 0.1), 10, "today", 0.0025)["forgiven"] == 0.0025
    assert "forgiven" not in records.record(EYES, QUESTION.key, Thresholds(0.2, 0.9, 0.1), 10, "today")


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("2", "2", True), ("2", "3", False), ("About 0.3 m.", "About 0.4 m.", True),
        ("About 0.3 m.", "About 0.5 m.", False), ("None in my lane.", "About 0.3 m.", False), ("", "No.", False),
    ],
)  # fmt: skip
def test_an_answer_is_right_to_the_word_and_a_tenth_of_a_metre(said: str, wanted: str, right: bool) -> None:
    assert asking.agrees(said, wanted) is right


def test_untaught_questions_are_of_no_training_list() -> None:
    from duck_protection.learning import lessons

    taught = {one for one in lessons.corpus() if len(one) > 2}
    assert not [prompt for prompt in asking.UNTAUGHT for one in taught if prompt.startswith(one) or one in prompt]


def frames_of(folder: Path, picture: np.ndarray, labels: list) -> FrameSet:
    for label in labels:
        Image.fromarray(picture).save(folder / label["file"], quality=90)
    return FrameSet([folder / label["file"] for label in labels], labels, np.arange(len(labels)) // 2)


def test_every_frame_is_in_one_part_of_each_kind_and_mistakes_come_worst_first(
    tmp_path: Path, picture: np.ndarray
) -> None:
    duck = {"along_m": 0.2, "offset_m": 0.0}
    labels = [{"file": f"{n}.jpg", "level": "STOP", "ducks": [duck], "split": "held"} for n in range(3)]
    labels += [{"file": f"{n}.jpg", "level": "CLEAR", "ducks": [], "split": "held"} for n in range(3, 6)]
    lines = [{"probabilities": {"Clear": 0.97, "Stop": 0.03}}]
    data = Data("held", frames_of(tmp_path, picture, labels), list(range(6)))
    measured = measure(ScriptedVlm(lines_from(lines)), data, QUESTION, Thresholds(0.5, 0.9, 0.1))
    assert measured.score.stop_judged_clear.hits == 3
    for parts in measured.parts.values():
        assert sum(part.n for part in parts.values()) == 6
    assert list(measured.parts["distance"]) == ["0.15 to 0.30 m", "none in the way"]
    worst = mistakes(measured, QUESTION, Thresholds(0.5, 0.9, 0.1))
    assert [shown.file.name for shown in worst] == ["0.jpg", "1.jpg", "2.jpg"]
    assert worst[0].said[1] == ("judged; C 0.97, L 0.00, S 0.03", Level.CLEAR)


def test_free_answers_are_asked_through_the_model_topics_in_turn(tmp_path: Path, picture: np.ndarray) -> None:
    labels = [{"file": f"{n}.jpg", "level": "CLEAR", "ducks": []} for n in range(10)]
    vlm = ScriptedVlm(lines_from([{"text": "0"}]))
    asked = asking.ask(vlm, frames_of(tmp_path, picture, labels), 10)
    counts = asking.by_topic(asked)
    assert (counts["count"].hits, counts["count"].of) == (2, 2)
    assert (counts["other"].hits, counts["other"].of, counts["all"].of) == (0, 2, 8)
