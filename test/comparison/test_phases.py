"""The phases on scripted models: same frames in turn, differences and draws, and files that fit each other."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from comparison_kit import LEVELS, ROAD, folder_of, levelled, scripted

from duck_protection.comparison import crowd, prompts
from duck_protection.comparison.bench import Bench, Plan, Side
from duck_protection.comparison.contenders import Contender, Patient
from duck_protection.comparison.labelled import Labelled, load_labelled
from duck_protection.comparison.meters import NoCard
from duck_protection.comparison.starting import Started
from duck_protection.frames import decode
from duck_protection.question import Choice, Question
from duck_protection.thresholds import book_from
from duck_protection.verdict import Identity, Level, Reply

PLAN = Plan(blocks=4, block=6, warm=2, answers=1, windows=1, window_s=1.0, clients=(1, 2))
YES_NO = Question("yes_no", 1, "Duck?", (Choice("No", Level.CLEAR), Choice("Yes", Level.STOP)))


class Seer:
    """Knows every frame's truth by heart; blind to some questions, mistaken on some frames, or a word short."""

    identity = Identity("seer", "1", "none", "test")

    def __init__(self, labelled: Labelled, wrong_every: int = 0, stop: Level = Level.STOP) -> None:
        self._truth = {self.mark(decode(file.read_bytes())): labelled.frames.level(number)
                       for number, file in enumerate(labelled.frames.files)}  # fmt: skip
        self._truth = {mark: stop if level is Level.STOP else level for mark, level in self._truth.items()}
        self._wrong_every, self._asked = wrong_every, 0
        self.order: List[bytes] = []

    def check_choices(self, words: Any) -> None:
        """Any."""

    def choose(self, frames: Any, questions: Any) -> List[Reply]:
        return [self._one(*pair) for pair in zip(frames, questions)]

    def generate(self, *_: Any) -> Iterator[str]:
        yield from ("word ",) * 9

    def _one(self, frame: np.ndarray, question: Question) -> Reply:
        self.order.append(self.mark(frame))
        self._asked += 1
        level = self._truth[self.mark(frame)]
        if self._wrong_every and self._asked % self._wrong_every == 0:
            level = LEVELS[int(level) % 3]
        levels = [choice.level for choice in question.choices]
        said = [0.9 if one is level else 0.05 for one in levels]
        return Reply(tuple(p / sum(said) for p in said), 0.0, "", self.identity)

    @staticmethod
    def mark(frame: np.ndarray) -> bytes:
        return frame[:4, :4].tobytes()


@pytest.fixture
def labelled(tmp_path: Path) -> Labelled:
    return load_labelled(folder_of(tmp_path / "data", levelled(72), size=(64, 48)))


def contender(vlm: Any, name: str) -> Contender:
    return Contender(name, name, Patient(vlm), False)


def compared(a: Contender, b: Contender, labelled: Labelled, plan: Plan = PLAN) -> Dict[str, Any]:
    sides = [Side(one, Started(None, why="not started here")) for one in (a, b)]
    found = Bench(sides[0], sides[1], labelled, ROAD, plan).run(NoCard("none", sure=True), lambda _: None)
    return json.loads(json.dumps(found))


def test_both_see_the_same_frames_in_the_same_order(labelled: Labelled) -> None:
    one, other = Seer(labelled), Seer(labelled)
    compared(contender(one, "a"), contender(other, "b"), labelled)
    timed = one.order[PLAN.warm :][: PLAN.blocks * PLAN.block]
    assert timed == other.order[PLAN.warm :][: PLAN.blocks * PLAN.block]
    assert len(set(timed)) == PLAN.blocks * PLAN.block and not set(timed) & set(one.order[: PLAN.warm])


def test_a_slower_model_is_slower_and_the_same_answers_are_a_draw(labelled: Labelled) -> None:
    """30 ms against nothing: far beyond any noise of this machine; which one is faster, not how fast, is asserted."""
    clear = {"probabilities": {"Clear": 0.9, "Slow": 0.05, "Stop": 0.05}}
    found = compared(scripted({**clear, "delay_s": 0.03}, name="slow"), scripted(clear, name="quick"), labelled)
    winners = {one["name"]: one["winner"] for one in found["measures"]}
    assert winners["verdict_p50_ms"] == "b"
    assert winners["likeliest_right"] == winners["answered"] == "draw"
    assert winners["joules_per_verdict"] == winners["tokens_per_s"] == "unknown"
    assert [side["better_than_chance"] for side in found["sides"]] == [False, False]
    assert all(one["b"]["value"] > one["a"]["value"] for one in found["crowds"])


def test_a_model_that_knows_more_is_better_and_better_than_chance(labelled: Labelled) -> None:
    found = compared(scripted({"probabilities": {"Stop": 1.0}}, name="stops"), contender(Seer(labelled), "b"), labelled)
    right = next(one for one in found["measures"] if one["name"] == "likeliest_right")
    assert right["b"]["value"] == 1 and right["winner"] == "b"
    assert [side["better_than_chance"] for side in found["sides"]] == [False, True]


def test_a_frame_that_is_asked_again_counts_once(tmp_path: Path) -> None:
    """Six frames, each asked twice, were once as sure as twelve. Another answer the second time changes nothing."""
    few = load_labelled(folder_of(tmp_path, levelled(72)), most=6)
    once, twice = (
        compared(contender(Seer(few, 4), "a"), contender(Seer(few, 4), "b"), few, replace(PLAN, blocks=2, block=block))
        for block in (3, 6)
    )  # fmt: skip
    assert [len(found["verdict_ms"][1]) for found in (once, twice)] == [6, 12]
    assert once["frames"] == twice["frames"] == 6
    assert [side["chance_p"] for side in once["sides"]] == [side["chance_p"] for side in twice["sides"]]
    shares = [[one for one in found["measures"] if one["unit"] == "share"] for found in (once, twice)]
    assert shares[0] == shares[1] and [one["b"]["low"] < 0.7 for one in shares[0]] == [True, True]


def test_fewer_verdicts_than_frames_still_see_every_place(labelled: Labelled) -> None:
    seer, files = Seer(labelled), labelled.frames.files
    compared(contender(seer, "a"), contender(Seer(labelled), "b"), labelled, replace(PLAN, blocks=2))
    place = dict(zip((Seer.mark(decode(file.read_bytes())) for file in files), labelled.groups(range(len(files)))))
    timed = seer.order[PLAN.warm :][: 2 * PLAN.block]
    assert {place[mark] for mark in timed} == set(labelled.groups(labelled.reporting))


def test_on_danger_labels_a_slow_is_right_in_the_benchmark_too(tmp_path: Path) -> None:
    seen = [(f"{n:02d}.jpg", f"robot {n // 2:02d}", ("own_lane", "none")[n % 2]) for n in range(48)]
    lines = [{"file": file, "robot": robot, "lane_label": label} for file, robot, label in seen]
    dangers = load_labelled(folder_of(tmp_path, lines))
    slow = Seer(dangers, stop=Level.SLOW)
    found = compared(scripted({"probabilities": {"Slow": 1.0}}, name="slow"), contender(slow, "b"), dangers)
    right = next(one for one in found["measures"] if one["name"] == "likeliest_right")
    assert (right["a"]["value"], right["b"]["value"], right["winner"]) == (0.5, 1, "b")
    assert [side["better_than_chance"] for side in found["sides"]] == [False, True]


def test_of_two_places_nobody_is_better(tmp_path: Path) -> None:
    few = load_labelled(folder_of(tmp_path, levelled(72, place=18)))
    found = compared(scripted({"probabilities": {"Stop": 1.0}}, name="stops"), contender(Seer(few), "b"), few)
    right = next(one for one in found["measures"] if one["name"] == "likeliest_right")
    assert right["b"]["value"] == 1 and right["winner"] == "unknown"


def test_failures_are_counted_and_end_nothing(labelled: Labelled) -> None:
    broken = scripted({"error": "AnswerError", "text": "nonsense"}, name="broken")
    found = compared(broken, contender(Seer(labelled), "b"), labelled)
    answered = next(one for one in found["measures"] if one["name"] == "answered")
    assert answered["a"]["value"] == 0 and answered["winner"] == "b"
    assert found["sides"][0]["failures"][0] == "AnswerError: nonsense"
    assert found["crowds"][0]["failed_a"] > 0 and found["crowds"][0]["a"]["value"] == 0


def test_a_crowd_is_counted_in_slices() -> None:
    windows = [crowd.Window((9, 4, 6), 0), crowd.Window((9, 6, 4), 0)]
    assert crowd.rate(windows).value == 10  # the first slice, in which the crowd gathers, is left out
    assert crowd.difference(windows, windows).draw


def test_questions_are_chosen_on_one_part_and_reported_on_the_other(labelled: Labelled, tmp_path: Path) -> None:
    seen: Dict[str, Seer] = {"sure": Seer(labelled), "wavering": Seer(labelled, wrong_every=5)}

    @contextmanager
    def opener(name: str) -> Iterator[Contender]:
        yield contender(seen[name], name)

    openers = [lambda name=name: opener(name) for name in seen]
    found = prompts.run(openers, labelled, {"yes_no": YES_NO, "road": ROAD}, tmp_path, lambda _: None)
    sure = {row["question"]: row["accuracy"]["value"] for row in found["rows"] if row["contender"] == "sure"}
    assert sure["road@1"] == 1 and sure["yes_no@1"] < 0.8
    assert {one["name"]: one["best"] for one in found["contenders"]}["sure"] == "road@1"  # yes or no knows no SLOW
    book = book_from(prompts.records(found))
    assert book.lookup(Seer.identity, "road@1").calibrated, "the robot may drive by what was chosen here"
    lines = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2 * len(labelled.reporting)
    reported = {labelled.frames.labels[number]["file"] for number in labelled.reporting}
    assert {line["file"] for line in lines} == reported
    agreed = {(one["question"], one["a"], one["b"]): one["same"] for one in found["agreements"]}
    assert 0.5 < agreed["road@1", "sure", "wavering"] < 1
    titles = [one["title"] for one in found["sheets"]]
    assert "sure against wavering, road@1" in titles and "sure against the truth, road@1" not in titles
    assert all((tmp_path / one["file"]).read_bytes()[:2] == b"\xff\xd8" for one in found["sheets"])


def test_a_model_that_guesses_has_no_best_question(labelled: Labelled, tmp_path: Path) -> None:
    @contextmanager
    def opener() -> Iterator[Contender]:
        yield scripted({"probabilities": {"Clear": 0.9, "Slow": 0.05, "Stop": 0.05}}, name="clear")

    found = prompts.run([opener], labelled, {"road": ROAD}, tmp_path, lambda _: None)
    assert found["contenders"][0]["best"] is None and found["sheets"] == []
