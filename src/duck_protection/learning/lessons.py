"""Free questions that the duckling learns beside its verdict, with the answers that a label gives.

They cost a tenth of a training step, because the picture is read once for both questions, and they teach the vision
tower where ducks are, not only whether to stop. Promise: answers come from labels alone and are a few tokens long.
"""
from __future__ import annotations

from typing import Any, Dict, Sequence, Tuple

from duck_protection.corridor import DEFAULT, TOUCHING_M

PROMPTS = ("How many ducks do you see?", "How far away is the nearest duck in your lane?")
MOST_COUNTED = 9
FARTHEST_M = 1.5


def answer(prompt: str, label: Dict[str, Any]) -> str:
    """What a perfect eye would say about the frame with this label."""
    return _count(label["ducks"]) if prompt == PROMPTS[0] else _nearest(label["ducks"])


def answers() -> Tuple[str, ...]:
    """Everything that may be answered, for the tokenizer."""
    counts = [_count([{}] * count) for count in range(MOST_COUNTED + 2)]
    metres = [_nearest([{"along_m": at / 10, "offset_m": 0.0}]) for at in range(round(FARTHEST_M * 10))]
    return (*counts, *metres, _nearest([]))


def _count(ducks: Sequence[Any]) -> str:
    return str(len(ducks)) if len(ducks) <= MOST_COUNTED else "Many"


def _nearest(ducks: Sequence[Any]) -> str:
    ahead = [
        duck["along_m"]
        for duck in ducks
        if TOUCHING_M <= duck["along_m"] < FARTHEST_M and abs(duck["offset_m"]) <= DEFAULT.half_width_m
    ]
    return f"About {max(0.0, min(ahead)):.1f} m." if ahead else "None in my lane."
