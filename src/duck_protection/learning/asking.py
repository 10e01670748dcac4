"""How often are a model's free answers right: what is ahead, how many ducks, how far, in the lane; and the refusal.

Each held-out frame is asked one question, topics in turn, through the engine's own generate(). Promise: prompts are
in the wordings that were taught, refusals are also tried on questions that no list of the training holds, and an
answer is right when it is the label's, metres within a tenth.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Sequence

import numpy as np

from duck_protection.frames import decode
from duck_protection.learning import lessons
from duck_protection.learning.dataset import FrameSet
from duck_protection.learning.scores import Count
from duck_protection.vlm.base import Vlm

MOST_TOKENS = 32  # the longest taught answer has about 15
METRES = re.compile(r"\d+\.\d+")
STEP_M = 0.101  # answers are rounded to a tenth: one step off is what half a step of doubt makes of it
# Of no training list: neither beginning nor thing.
UNTAUGHT = (
    "Did you sleep well?", "Sing the second verse.", "Name three rivers.", "Is seven a prime number?", "Turn around!",
    "Can penguins swim faster than trout?", "Whose turn is it?", "Guess my age.", "Compare winter with summer.",
    "Send this message to Anna.", "Hello there", "Shall we dance", "Does gravity sleep?", "Read page nine aloud.",
    "Choose between tea and coffee.", "Remember the number 4711.", "Will it snow tomorrow?", "Open the window, please.",
)


@dataclass(frozen=True)
class Asked:
    """One question about one frame, the right answer, and the one that was given."""

    file: str
    topic: str
    prompt: str
    wanted: str
    said: str

    @property
    def right(self) -> bool:
        """Whether it may count as right."""
        return agrees(self.said, self.wanted)


def known(frames: FrameSet) -> bool:
    """Whether the labels know every duck, as only a rendering does: else nobody knows the right answers."""
    return all("ducks" in label and "danger" not in label for label in frames.labels)


def ask(vlm: Vlm, frames: FrameSet, count: int, seed: int = 20) -> List[Asked]:
    """That many frames of the set, evenly taken, each asked one question, with a progress bar."""
    from tqdm import tqdm

    chosen = np.linspace(0, len(frames.files) - 1, min(count, len(frames.files))).astype(int)
    rng, asked = np.random.default_rng(seed), []
    for turn, number in enumerate(tqdm(chosen.tolist(), unit="answer", mininterval=5)):
        topic, prompt = lessons.draw(turn, rng, lessons.TOPICS)
        if topic == "other" and rng.random() < 0.5:
            prompt = str(rng.choice(UNTAUGHT))
        said = "".join(vlm.generate(decode(frames.files[number].read_bytes()), prompt, MOST_TOKENS)).strip()
        label = frames.labels[number]
        asked.append(Asked(label["file"], topic, prompt, lessons.answer(topic, label), said))
    return asked


def agrees(said: str, wanted: str) -> bool:
    """Whether an answer is the right one: the same words, and metres at most a tenth away."""
    if METRES.sub("#", said) != METRES.sub("#", wanted):
        return False
    pairs = zip(METRES.findall(said), METRES.findall(wanted))
    return all(abs(float(one) - float(other)) <= STEP_M for one, other in pairs)


def by_topic(asked: Sequence[Asked]) -> Dict[str, Count]:
    """Right answers by topic; "all" is over those that were taught, "other" is the refusal."""
    groups = {topic: [one for one in asked if one.topic == topic] for topic in lessons.TOPICS}
    groups["all"] = [one for one in asked if one.topic != "other"]
    return {topic: Count(sum(one.right for one in group), len(group)) for topic, group in groups.items() if group}
