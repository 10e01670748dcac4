"""What a rendering, a training or a tuning was begun with, so that it is not gone on with as another one.

Answers: is what is there a part of this run? Promise: whoever asks before writing leaves the files of another run as
they are, and says in one line what differs.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Mapping

from duck_protection.question import Question

Told = Mapping[str, Any]


def told(question: Question) -> List[str]:
    """What of a question teaches."""
    return [question.key, question.prompt, *question.words]


def check_same(begun: Told, plan: Told, where: Path) -> None:
    """The run that was begun there may be gone on with.

    Args:
        begun: What it was begun with; empty where that was not kept, as it once was not: anything may go on then.

    Raises:
        ValueError: It is another run.
    """
    differing = [key for key in plan if begun and begun.get(key) != plan[key]]
    if differing:
        raise ValueError(f"{where} is of another run (other {', '.join(differing)}): begin this one in another folder")
