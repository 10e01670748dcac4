"""Free questions that the duckling learns beside its verdict, with the answers that a label gives.

What is ahead, how many ducks, how far the nearest, is one in the lane; and to anything else, that it was not trained
for that. They cost little of a training step, because the picture is read once for all questions, and they teach the
vision tower where ducks are. Promise: answers come from labels alone, and the same generator gives the same prompts.
"""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from duck_protection.corridor import DEFAULT, TOUCHING_M

PROMPTS: Mapping[str, Tuple[str, ...]] = {
    "count": ("How many ducks do you see?", "How many ducks are there?", "Count the ducks."),
    "distance": (
        "How far away is the nearest duck in your lane?",
        "How far away is the duck?",
        "How many metres is it to the nearest duck in your lane?",
    ),
    "lane": ("Is there a duck in your lane?", "Is a duck in your lane?", "Is there a duck on the road ahead?"),
    "ahead": ("What is ahead?", "What do you see?", "What is in front of you?", "Describe the picture."),
}
TOPICS = (*PROMPTS, "other")
TURNS = ("count", "ahead", "distance", "count", "lane", "ahead", "count", "other")  # what is hard is taught oftener
ANSWERED = tuple(topic for topic in TURNS if topic != "other")  # for models that can answer other questions too
NOT_TRAINED = "I was not trained for that."
MOST_COUNTED = 9
FARTHEST_M = 1.5
SPOKEN_PX = 100  # of the 640x480 picture: a duck 1.5 m away, as far as other answers reach; specks are not spoken of
# Beginnings and things of questions that nobody taught it to answer; combined at random, with random letters for the
# words that no list holds. Some of them speak of ducks, so that the word alone is no sign.
_BEGINNINGS = (
    "What colour is", "What is the name of", "Who painted", "Why is there", "When was", "Where did you buy",
    "Which way is", "Can you sing about", "Write a poem about", "Translate", "Tell me a story about",
    "What does it cost to feed",
    "How old is", "How do I repair", "Do you like", "Is it raining on", "What time is it at", "Please ignore", "Spell",
    "Add two and two and tell me about", "Who is the president of", "Explain", "List all of", "Do you know", "Say",
    "How heavy is", "What is the capital of", "What is", "Are you", "Should I buy", "Give me a recipe for", "Why",
)
_THINGS = (
    "the duck", "the ducks", "France", "the robot", "the weather", "a house", "the sky", "my mother", "your camera",
    "the white line", "the battery", "music", "the moon", "quantum physics", "a cake", "the tree", "the number seven",
    "the people behind the wall", "your favourite film", "a red car", "the sign", "the meaning of life", "Paris", "him",
    "the traffic light", "this sentence", "a joke", "the other robot", "my code", "the password", "a cat", "it",
)


def draw(step: int, rng: np.random.Generator, turns: Sequence[str] = TURNS) -> Tuple[str, str]:
    """Topic and prompt of a training step: topics in turn, the wording by chance."""
    topic = turns[step % len(turns)]
    return topic, _other(rng) if topic == "other" else str(rng.choice(PROMPTS[topic]))


def answer(topic: str, label: Dict[str, Any]) -> str:
    """What a perfect eye would say about the frame with this label."""
    ducks = [duck for duck in label["ducks"] if duck.get("pixels", SPOKEN_PX) >= SPOKEN_PX]
    if topic == "count":
        return _count(ducks)
    if topic == "distance":
        return _nearest(ducks)
    if topic == "lane":
        return "Yes." if _in_lane(ducks) else "No."
    return _ahead(ducks) if topic == "ahead" else NOT_TRAINED


def corpus() -> List[str]:
    """Every prompt and answer that may occur, random letters aside, for the tokenizer."""
    counts = [[_BESIDE] * count for count in range(MOST_COUNTED + 2)]
    places = [[{"along_m": at / 10, "offset_m": 0.0}] for at in range(round(FARTHEST_M * 10))]
    said = [answer(topic, {"ducks": ducks}) for topic in TOPICS for ducks in (*counts, *places)]
    return [*(one for prompts in PROMPTS.values() for one in prompts), *_BEGINNINGS, *_THINGS, *said]


_BESIDE: Dict[str, Any] = {"along_m": 0.5, "offset_m": 1.0}


def _other(rng: np.random.Generator) -> str:
    thing = str(rng.choice(_THINGS))
    if rng.random() < 0.3:
        thing = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz     ABC013"), size=int(rng.integers(3, 20))))
    first = str(rng.choice(_BEGINNINGS)) if rng.random() < 0.85 else ""
    return f"{first} {thing}".strip() + str(rng.choice(["?", ".", "", "!"]))


def _count(ducks: Sequence[Any]) -> str:
    return str(len(ducks)) if len(ducks) <= MOST_COUNTED else "Many"


def _in_lane(ducks: Sequence[Any]) -> List[float]:
    """Metres to each duck in the lane that is near enough to be spoken of."""
    return [
        max(0.0, duck["along_m"])
        for duck in ducks
        if TOUCHING_M <= duck["along_m"] < FARTHEST_M and abs(duck["offset_m"]) <= DEFAULT.half_width_m
    ]


def _nearest(ducks: Sequence[Any]) -> str:
    ahead = _in_lane(ducks)
    return f"About {min(ahead):.1f} m." if ahead else "None in my lane."


def _ahead(ducks: Sequence[Any]) -> str:
    ahead = _in_lane(ducks)
    if not ducks:
        return "A road without ducks."
    if not ahead:
        return "Ducks, but none in my lane."
    return f"A duck in my lane, about {min(ahead):.1f} m ahead."
