"""The shipped fake does what its script says, and refuses a script it does not understand."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
import yaml

from duck_protection.question import Question
from duck_protection.vlm import base
from duck_protection.vlm.scripted import ERRORS, ScriptedVlm, lines_from

SCRIPT = """
- {probabilities: {Clear: 0.9, Stop: 0.1}}
- {probabilities: {Stop: 1.0, Maybe: 1.0}, off_mass: 0.2, text: Watch out!}
- {error: MemoryFullError, text: full}
- nan
- {probabilities: {Slow: 1}}
"""


@pytest.fixture
def vlm() -> ScriptedVlm:
    return ScriptedVlm(lines_from(yaml.safe_load(SCRIPT)))


def test_lines_come_in_order_and_the_last_repeats(vlm: ScriptedVlm, picture: np.ndarray, road: Question) -> None:
    first, second = vlm.choose([picture, picture], [road, road])
    assert first.probabilities == pytest.approx((0.9, 0.0, 0.1))
    assert (first.off_mass, first.text) == (0.0, "Clear")
    assert second.probabilities == (0.0, 0.0, 1.0)
    assert second.off_mass == pytest.approx(0.2 + 0.8 * 0.5)  # half of what it said was not offered
    assert second.text == "Watch out!"
    with pytest.raises(base.MemoryFullError, match="full"):
        vlm.choose([picture], [road])
    (broken,) = vlm.choose([picture], [road])
    assert all(math.isnan(number) for number in (*broken.probabilities, broken.off_mass))
    for _ in range(3):
        assert vlm.choose([picture], [road])[0].probabilities == (0.0, 1.0, 0.0)
    assert vlm.batches == [2, 1, 1, 1, 1, 1]


def test_generate_says_the_text_a_word_at_a_time(picture: np.ndarray) -> None:
    waited: list[float] = []
    lines = lines_from([{"text": "One yellow duck.", "delay_s": 0.5}, {"probabilities": {"Stop": 0.6, "Clear": 0.4}}])
    vlm = ScriptedVlm(lines, waited.append)
    assert list(vlm.generate(picture, "What is it?", 9)) == ["One", " yellow", " duck."]
    assert waited == [0.5, 0.5, 0.5]
    assert list(vlm.generate(picture, "What is it?", 9)) == ["Stop"]
    assert list(ScriptedVlm(lines, waited.append).generate(picture, "?", 2)) == ["One", " yellow"]


def test_a_delay_is_waited_for(picture: np.ndarray, road: Question) -> None:
    waited: list[float] = []
    ScriptedVlm(lines_from([{"probabilities": {"Stop": 1}, "delay_s": 0.25}]), waited.append).choose([picture], [road])
    assert waited == [0.25]


def test_a_hang_ends_when_it_is_released(picture: np.ndarray, road: Question) -> None:
    vlm = ScriptedVlm(lines_from(["hang", {"probabilities": {"Stop": 1}}]))
    asking = threading.Thread(target=lambda: vlm.choose([picture, picture], [road, road]))
    asking.start()
    asking.join(0.05)
    assert asking.is_alive()
    vlm.release()
    asking.join(5)
    assert not asking.is_alive()


def test_a_free_answer_hangs_without_words_too_until_it_is_released(picture: np.ndarray) -> None:
    """A hang has no text, and a generation of no words once ended at once instead of hanging."""
    vlm = ScriptedVlm(lines_from(["hang"]))
    pieces: list[str] = []
    asking = threading.Thread(target=lambda: pieces.extend(vlm.generate(picture, "?", 5)))
    asking.start()
    asking.join(0.05)
    assert asking.is_alive() and pieces == []
    vlm.release()
    asking.join(5)
    assert not asking.is_alive() and "".join(pieces) == ""


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_the_tree_can_be_scripted(name: str, picture: np.ndarray, road: Question) -> None:
    vlm = ScriptedVlm(lines_from([{"error": name}]))
    with pytest.raises(getattr(base, name)):
        vlm.choose([picture], [road])
    with pytest.raises(getattr(base, name)):
        list(vlm.generate(picture, "?", 3))


def test_every_error_of_the_tree_is_known() -> None:
    classes = [kind for kind in vars(base).values() if isinstance(kind, type)]
    kinds = {kind.__name__ for kind in classes if issubclass(kind, base.VlmError)}
    assert kinds == {*ERRORS, "VlmError"}


@pytest.mark.parametrize("words", [(), ("Stop", "Stop"), ("Stop", "")])
def test_choices_must_be_distinct_words(words: tuple[str, ...], vlm: ScriptedVlm) -> None:
    with pytest.raises(base.ChoiceError):
        vlm.check_choices(words)


@pytest.mark.parametrize(
    "content",
    [
        [],
        ["sleep"],
        [{"probability": {"Stop": 1}}],
        [{"error": "KeyError"}],
        [{"delay_s": "long"}],
        [{"probabilities": ["Stop"]}],
        [{"probabilities": {"Stop": "much"}}],
    ],
)
def test_a_script_that_cannot_be_understood_is_refused(content: list[Any]) -> None:
    with pytest.raises(ValueError, match="script"):
        lines_from(content)


def test_a_script_that_runs_for_days_remembers_only_the_latest_batches(picture: np.ndarray, road: Question) -> None:
    vlm = ScriptedVlm(lines_from([{"probabilities": {"Clear": 1.0}}]))
    for _ in range(1500):
        vlm.choose([picture], [road])
    vlm.choose([picture] * 2, [road] * 2)
    assert len(vlm.batches) == 1000 and vlm.batches[-1] == 2
