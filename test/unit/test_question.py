"""A question that loads is usable; a doubtful one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from duck_protection.question import Choice, Question, questions_from
from duck_protection.verdict import Level

SHIPPED = Path(__file__).parents[2] / "config" / "questions.yaml"


def entry(**changes: object) -> dict:
    good = {"version": 2, "prompt": "Duck?\n  Answer.", "choices": {"No": "CLEAR", "Yes": "STOP"}}
    return {"q": {**good, **changes}}


def test_a_question_keeps_the_order_of_its_choices() -> None:
    question = questions_from(entry())["q"]
    assert question == Question("q", 2, "Duck? Answer.", (Choice("No", Level.CLEAR), Choice("Yes", Level.STOP)))
    assert question.key == "q@2"
    assert question.words == ("No", "Yes")


def test_shipped_questions_load() -> None:
    shipped = questions_from(yaml.safe_load(SHIPPED.read_text()))
    assert [choice.level for choice in shipped["road"].choices] == [Level.CLEAR, Level.SLOW, Level.STOP]
    assert [question.name for question in shipped.values() if question.picture_last] == ["road_before"]


def test_the_embedded_models_question_never_changes() -> None:
    """Its weights and its threshold record were made with exactly these words."""
    road = questions_from(yaml.safe_load(SHIPPED.read_text()))["road"]
    assert road.key == "road@1" and road.words == ("Clear", "Slow", "Stop") and not road.picture_last
    assert road.prompt == (
        "You are a small robot on a toy road. Is a rubber duck in your lane? "
        "Answer Stop if one is very near, Slow if one is near, Clear if none."
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"version": 0}, "version must be 1 or more, is 0"),
        ({"choices": {"No": "CLEAR", " ": "STOP"}}, "must be distinct words"),
        ({"choices": {"No": "CLEAR", "Yes": "SLOW"}}, "one for STOP"),
        ({"choices": {"No": "SLOW", "Yes": "STOP"}}, "a choice for CLEAR"),
        ({"choices": {"No": "CLEAR", "Yes": "STOP", "Eh": "UNKNOWN"}}, "no choice may stand for UNKNOWN"),
        ({"choices": {"No": "CLEAR", "Yes": "HALT"}}, "unknown level or place 'HALT'"),
        ({"picture": "middle"}, "unknown level or place 'middle'"),
        ({"choices": ["No", "Yes"]}, "needs version, prompt and choices"),
        ({"version": None}, "needs version, prompt and choices"),
    ],
)
def test_doubtful_questions_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match="question 'q'.*" + complaint):
        questions_from(entry(**changes))


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="missing key, or unknown level or place 'choices'"):
        questions_from({"q": {"version": 1, "prompt": "Duck?"}})


def test_the_same_word_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="distinct words"):
        Question("q", 1, "Duck?", (Choice("Yes", Level.CLEAR), Choice("Yes", Level.STOP)))
