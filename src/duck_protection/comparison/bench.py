"""Phase 2: two contenders on the same frames, in turn A B A B, in one run.

A is the system in use, B the candidate. Promise: both get the same frames and the same question in the same order;
each is warmed up first and what that took is thrown away; what else kept the machine busy is written down.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, ClassVar, Dict, List, Sequence, Tuple

from duck_protection.comparison import crowd
from duck_protection.comparison.contenders import Contender
from duck_protection.comparison.labelled import Labelled, thinned
from duck_protection.comparison.measures import HIGHER, Measure, Samples, chance_p, measured
from duck_protection.comparison.meters import AnyCard, load_average, taken_by
from duck_protection.comparison.scoring import CHANCE_P
from duck_protection.comparison.starting import Started
from duck_protection.comparison.timing import Words, verdict, words
from duck_protection.frames import decode
from duck_protection.learning.choosing import Reading
from duck_protection.question import Question
from duck_protection.settings import RangeTable, check_ranges

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Args:
        blocks: Turns of each contender.
        block: Verdicts in a turn.
        warm: Verdicts of each that are thrown away first.
        answers: Free answers in a turn.
        windows: Turns of each contender for each crowd.
        window_s: Of one crowd.
    """

    blocks: int = 10
    block: int = 20
    warm: int = 10
    answers: int = 3
    windows: int = 2
    window_s: float = 4.0
    clients: Tuple[int, ...] = crowd.CLIENTS

    RANGES: ClassVar[RangeTable] = {
        "blocks": (2, 1000), "block": (1, 1000), "warm": (1, 1000), "answers": (0, 100), "windows": (1, 100),
        "window_s": (1.0, 60.0),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass
class Side:
    """One contender, how it started, and what has been measured of it so far. readings: each frame's first one."""

    contender: Contender
    started: Started
    ms: List[float] = field(default_factory=list)
    readings: List[Reading] = field(default_factory=list)
    joules: List[float] = field(default_factory=list)
    words: List[Words] = field(default_factory=list)
    windows: Dict[int, List[crowd.Window]] = field(default_factory=dict)

    @property
    def samples(self) -> Samples:
        """What was timed."""
        return Samples(self.ms, self.readings, self.joules, self.words)


class Bench:
    """One comparison. Both contenders are open and answer."""

    def __init__(self, a: Side, b: Side, labelled: Labelled, question: Question, plan: Plan) -> None:
        self._sides, self._question, self._plan = (a, b), question, plan
        self._labelled, self._frames = labelled, labelled.frames
        many = plan.blocks * plan.block
        self._distinct = thinned(labelled.reporting, many)
        self._numbers = [self._distinct[place % len(self._distinct)] for place in range(many)]
        # What warms up and what is talked about is not what is timed: servers remember pictures.
        spare = max(plan.warm, plan.blocks * plan.answers)
        self._spare = [labelled.choosing[place % len(labelled.choosing)] for place in range(spare)]
        taken = {*self._numbers, *self._spare}
        self._pictures = {number: decode(self._frames.files[number].read_bytes()) for number in taken}

    def run(self, card: AnyCard, say: Say) -> Dict[str, Any]:
        """The content of bench.json."""
        before = load_average()
        self._warm_up()
        for block in range(self._plan.blocks):
            part = self._numbers[block * self._plan.block : (block + 1) * self._plan.block]
            for side in self._sides:
                self._turn(side, part, block, card)
            say(f"block {block + 1} of {self._plan.blocks}")
        memory = [self._memory(side, card) for side in self._sides]
        self._crowds(say)
        load = {"before": before, "after": load_average()}
        return {**self._about(), "load_average": load, "card": card.about(), **self._results(memory)}

    def _warm_up(self) -> None:
        for side in self._sides:
            for number in self._spare[: self._plan.warm]:
                self._ask(side, number)
            side.contender.vlm.failures.clear()

    def _ask(self, side: Side, number: int) -> Tuple[float, Reading]:
        took_ms, reply = verdict(side.contender, self._pictures[number], self._question)
        return took_ms, Reading(reply, self._frames.level(number), self._frames.labels[number].get("danger"))

    def _turn(self, side: Side, part: Sequence[int], block: int, card: AnyCard) -> None:
        """One block of one side: verdicts, one by one, with the card's energy; then free answers."""
        before_j = _energy_j(side, card)
        for number in part:
            took_ms, reading = self._ask(side, number)
            side.ms.append(took_ms)
            if len(side.readings) < len(self._distinct):  # a frame that comes again tells nothing new
                side.readings.append(reading)
        side.joules.append(_energy_j(side, card) - before_j)
        talked = self._spare[block * self._plan.answers :][: self._plan.answers]
        side.words += [words(side.contender, self._pictures[number]) for number in talked]

    def _memory(self, side: Side, card: AnyCard) -> Dict[str, Any]:
        """What it takes after it has worked. A model in process was measured in a process of its own."""
        taken = side.started.taken or taken_by(side.started.pid, card)
        return {"start_s": side.started.start_s, "start_why": side.started.why, **asdict(taken)}

    def _crowds(self, say: Say) -> None:
        frames = list(self._pictures.values())
        for clients in self._plan.clients:
            for _ in range(self._plan.windows):
                for side in self._sides:
                    with crowd.asking(side.contender, self._question) as ask:
                        window = crowd.window(ask, frames, clients, self._plan.window_s)
                    side.windows.setdefault(clients, []).append(window)
            say(f"{clients} clients at once")

    def _about(self) -> Dict[str, Any]:
        sizes = {f"{picture.shape[1]}x{picture.shape[0]}" for picture in self._pictures.values()}
        return {
            "question": self._question.key, "plan": asdict(self._plan), "data": self._labelled.about(),
            "frames": len(self._distinct), "frame_sizes": sorted(sizes),
        }  # fmt: skip

    def _results(self, memory: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
        places = self._labelled.groups(self._distinct)
        a, b = (side.samples for side in self._sides)
        both = measured(a, b, self._question, self._plan.block, places)
        return {
            "sides": [self._side(side, taken) for side, taken in zip(self._sides, memory)],
            "measures": [one.plain() for one in both],
            "crowds": [self._crowd(clients) for clients in self._plan.clients],
            "verdict_ms": [side.ms for side in self._sides],
        }  # fmt: skip

    def _side(self, side: Side, memory: Dict[str, Any]) -> Dict[str, Any]:
        p = chance_p(side.readings, self._question, self._labelled.groups(self._distinct))
        failures = side.contender.vlm.failures
        return {
            **side.contender.about(), **memory, "chance_p": p, "better_than_chance": p < CHANCE_P,
            "failed": len(failures), "failures": failures[:5],
        }  # fmt: skip

    def _crowd(self, clients: int) -> Dict[str, Any]:
        a, b = (side.windows[clients] for side in self._sides)
        both = Measure("verdicts_per_s", "/s", HIGHER, crowd.rate(a), crowd.rate(b), crowd.difference(a, b))
        failed = {"failed_a": sum(one.failed for one in a), "failed_b": sum(one.failed for one in b)}
        return {"clients": clients, **both.plain(), **failed}


def _energy_j(side: Side, card: AnyCard) -> float:
    """NaN where the card does not tell, or is not the one that this contender uses."""
    told = card.energy_j() if side.contender.here else None
    return math.nan if told is None else told
