"""The drives of a campaign so far, a line each: an hour of driving outlives the command that was killed.

Answers: which drives are driven already? Promise: a drive of another plan (seed, weights, records, timing, commit) is
never taken for one of this, and a last line that was not finished is driven again.
"""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List

from duck_protection.episodes.drive import Outcome
from duck_protection.episodes.summary import Result

Plan = Dict[str, Any]


class Journal:
    """results: of the drives before this start, in their order; add() takes those that follow."""

    def __init__(self, file: Path, plan: Plan, resume: bool) -> None:
        """Begin anew, or go on where the file ends.

        Raises:
            ValueError: The file is of another plan, or a line before its last cannot be read.
        """
        self._file = file
        self.results: List[Result] = _read(file, plan) if resume and file.exists() else []
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(_line(one) for one in [plan, *map(asdict, self.results)]), encoding="utf-8")

    def add(self, result: Result) -> None:
        """Written before the next drive is counted."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(asdict(result)))


def _read(file: Path, plan: Plan) -> List[Result]:
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]  # what follows the last end of a line is unfinished
    try:
        first, *drives = (json.loads(line) for line in whole.splitlines())
        begun, results = dict(first), [_result(one) for one in drives]
    except (ValueError, KeyError, TypeError) as err:
        raise ValueError(f"{file}: not the journal of a campaign ({err})") from err
    differing = [key for key in plan if begun.get(key) != json.loads(json.dumps(plan[key]))]
    if differing:
        raise ValueError(f"{file} is of another campaign: other {', '.join(differing)}; --resume goes on with its own")
    return results


def _result(line: Dict[str, Any]) -> Result:
    drives = {name: Outcome(**line[name]) for name in ("guarded", "unprotected", "ideal")}
    return Result(line["seed"], line["kind"], line["light"], **drives)


def _line(content: Dict[str, Any]) -> str:
    return json.dumps(content) + "\n"
