"""What we ask about a frame: a prompt, the words the model may choose from, and a version.

The level that each word stands for is fixed here, once, so that no text of a model is ever parsed for keywords.
Promise: a question that loads is usable; anything doubtful raises ValueError naming the key and the value.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

from duck_protection.verdict import Level

PICTURE_LAST = {"first": False, "last": True}  # values of a question's key "picture"


@dataclass(frozen=True)
class Choice:
    """A word the model may answer with, and the level we read from it."""

    word: str
    level: Level


@dataclass(frozen=True)
class Question:
    """One versioned question.

    Args:
        name: Key in questions.yaml.
        version: Raised by whoever changes prompt or choices; thresholds belong to one version.
        prompt: The user turn, without the image and without chat markup.
        choices: At least two distinct words; among them one that says CLEAR and one that says STOP.
        picture_last: The picture stands after the prompt instead of before it.
    """

    name: str
    version: int
    prompt: str
    choices: Tuple[Choice, ...]
    picture_last: bool = False

    def __post_init__(self) -> None:
        words = [choice.word for choice in self.choices]
        levels = {choice.level for choice in self.choices}
        if not self.prompt.strip():
            raise ValueError(f"question {self.name!r}: prompt is empty")
        if self.version < 1:
            raise ValueError(f"question {self.name!r}: version must be 1 or more, is {self.version}")
        if any(not word.strip() for word in words) or len(set(words)) != len(words):
            raise ValueError(f"question {self.name!r}: choices must be distinct words, are {words}")
        if Level.UNKNOWN in levels:
            raise ValueError(f"question {self.name!r}: no choice may stand for UNKNOWN")
        if not {Level.CLEAR, Level.STOP} <= levels:
            raise ValueError(f"question {self.name!r}: needs a choice for CLEAR and one for STOP, has {words}")

    @property
    def key(self) -> str:
        """Name and version as one word, "road@1": what verdicts and threshold records carry."""
        return f"{self.name}@{self.version}"

    @property
    def words(self) -> Tuple[str, ...]:
        """The choices' words, in the order in which probabilities are given."""
        return tuple(choice.word for choice in self.choices)


def questions_from(mapping: Mapping[str, Any]) -> Dict[str, Question]:
    """Questions by name, from the content of config/questions.yaml.

    Raises:
        ValueError: A question is unusable; the message names it. Do not start.
    """
    return {name: _question(name, entry) for name, entry in mapping.items()}


def _question(name: str, entry: Any) -> Question:
    try:
        choices = tuple(Choice(str(word), Level[str(level)]) for word, level in entry["choices"].items())
        prompt = " ".join(str(entry["prompt"]).split())
        return Question(name, int(entry["version"]), prompt, choices, PICTURE_LAST[str(entry.get("picture", "first"))])
    except KeyError as err:
        raise ValueError(f"question {name!r}: missing key, or unknown level or place {err}") from err
    except (AttributeError, TypeError) as err:
        raise ValueError(f"question {name!r}: needs version, prompt and choices, got {entry!r}") from err
