"""The phases with their files: what is opened, measured and written, and what a terminal shows meanwhile.

Promise: each phase writes one JSON file, whole or not at all, with commit, machine, date and the exact command; servers
and models that were started or opened are closed again; a phase that needs another one's file says which command.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple

import yaml

from duck_protection.comparison import prompts, terminal
from duck_protection.comparison.bench import Bench, Plan, Side
from duck_protection.comparison.contenders import Contender, is_url, opened
from duck_protection.comparison.deciding import decide
from duck_protection.comparison.evidence import evidence
from duck_protection.comparison.framework import framework_from
from duck_protection.comparison.labelled import Labelled, load_labelled
from duck_protection.comparison.meters import NoCard, open_card
from duck_protection.comparison.starting import Started, start_model, started_server
from duck_protection.learning.records import write_record
from duck_protection.question import Question, questions_from
from duck_protection.recording.results import envelope, write_json
from duck_protection.settings import SettingsError

QUICK = Plan(blocks=3, block=7, warm=2, answers=1, windows=1, window_s=1.5, clients=(1, 4))


@dataclass(frozen=True)
class Where:
    """One side, as it was named on the command line."""

    where: str
    key: str = ""
    start: str = ""
    pid: Optional[int] = None
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True)
class Asked:
    """What is asked, about what: a labelled folder, frames in each part, the questions, the benchmark's question; and
    the thresholds.yaml that takes the records of the best questions, if any."""

    data: Path
    frames: int
    questions: Path
    only: Tuple[str, ...]
    question: str
    record: Optional[Path] = None


class Run:
    """The phases, in one folder."""

    def __init__(self, out: Path, arguments: Sequence[str]) -> None:
        self._out, self._command = out, shlex.join(["./run", "compare", *arguments])

    def prompts(self, sides: Sequence[Where], asked: Asked) -> None:
        """Phase 1: prompts.json, readings.jsonl, sheets/."""
        openers = [lambda side=side: _ready(side) for side in sides]
        found = prompts.run(openers, _labelled(asked), _questions(asked), self._out, _say)
        self._write("prompts", found)
        print(terminal.prompts_table(found))
        if asked.record is not None:
            for entry in prompts.records(found):
                write_record(asked.record, entry)
                print(f"written into {asked.record}: {entry['model']} ({entry['backend']}), {entry['question']}")

    def bench(self, sides: Sequence[Where], asked: Asked, plan: Plan) -> None:
        """Phase 2: bench.json."""
        labelled, question = _labelled(asked), self._question(asked, sides[1])
        card = open_card(sides[1].device)  # one word of the command for both
        with ExitStack() as stack:
            started = [stack.enter_context(_started(side)) for side in sides]
            contenders = [stack.enter_context(_opened(side)) for side in sides]
            for contender in contenders:
                contender.vlm.check_choices(question.words)
            pair = [Side(*both) for both in zip(contenders, started)]
            found = Bench(pair[0], pair[1], labelled, question, plan).run(card, _say)
        self._write("bench", {**_told_apart(found), "no_card": card.why if isinstance(card, NoCard) else ""})
        print(terminal.bench_table(found))

    def decide(self, config: Path) -> None:
        """Phase 3: decision.json."""
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        frame = framework_from(content)
        bench_json, prompts_json = self._read("bench"), self._read("prompts")
        known = evidence(bench_json, prompts_json, frame)
        decision = decide(known, frame)
        self._write("decision", {"names": known.names, "framework": content, **asdict(decision)})
        print(terminal.decision_text(decision, known.names))

    def report(self, shadow: Optional[Path]) -> None:
        """report.html, report.md and report.json, from whatever phases have left here."""
        from duck_protection.comparison import report, shadowing

        parts = {name: self._read(name) for name in ("prompts", "bench", "decision")}
        parts["shadow"] = shadowing.summary(shadow) if shadow else None
        if not any(parts.values()):
            raise SettingsError(f"{self._out} holds nothing to report: ./run compare prompts, or bench, comes first")
        for file in report.write(self._out, parts, envelope("compare-report/1", command=self._command)):
            print(f"written: {file}")

    def _question(self, asked: Asked, b: Where) -> Question:
        questions, name = _questions(replace(asked, only=())), asked.question
        if name == "best":
            found = self._read("prompts") or {"contenders": []}
            bests = [one["best"] for one in found["contenders"] if one["where"] == b.where and one["best"]]
            name = bests[0].split("@")[0] if bests else "road"
        if name not in questions:
            raise SettingsError(f"there is no question {name!r}; there are {', '.join(questions)}")
        return questions[name]

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_json(self._out / f"{name}.json", envelope(f"compare-{name}/1", command=self._command, **content))

    def _read(self, name: str) -> Optional[Dict[str, Any]]:
        file = self._out / f"{name}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def plan_of(quick: bool, given: Mapping[str, Any]) -> Plan:
    """The plan, with what was given on the command line in the place of its numbers."""
    names = ("blocks", "block", "warm", "answers", "windows", "window_s")
    return replace(QUICK if quick else Plan(), **{name: given[name] for name in names if given.get(name) is not None})


def key_of(file: str, variable: str) -> str:
    """A server's key, from its file or from the environment."""
    return Path(file).read_text(encoding="ascii").strip() if file else os.environ.get(variable, "")


@contextmanager
def _started(side: Where) -> Iterator[Started]:
    if is_url(side.where):
        with started_server(side.where, side.key, side.start, side.pid) as started:
            yield started
    else:
        _say(f"starting {side.where} once in a process of its own")
        yield start_model(side.where, side.device, side.dtype)


@contextmanager
def _opened(side: Where) -> Iterator[Contender]:
    with opened(side.where, side.key, side.device, side.dtype) as contender:
        yield contender


@contextmanager
def _ready(side: Where) -> Iterator[Contender]:
    """Started where it has a command, and opened."""
    with ExitStack() as stack:
        if is_url(side.where):
            stack.enter_context(_started(side))
        yield stack.enter_context(_opened(side))


def _labelled(asked: Asked) -> Labelled:
    return load_labelled(asked.data, asked.frames)


def _questions(asked: Asked) -> Dict[str, Question]:
    questions = questions_from(yaml.safe_load(asked.questions.read_text(encoding="utf-8")))
    unknown = [name for name in asked.only if name not in questions]
    if unknown:
        raise SettingsError(f"there is no question {unknown[0]!r}; there are {', '.join(questions)}")
    return {name: one for name, one in questions.items() if not asked.only or name in asked.only}


def _told_apart(found: Dict[str, Any]) -> Dict[str, Any]:
    """Two sides that carry one name are told apart by their letters."""
    a, b = found["sides"]
    if a["name"] == b["name"]:
        a["name"], b["name"] = f"{a['name']} (A)", f"{b['name']} (B)"
    return found


def _say(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr, flush=True)
