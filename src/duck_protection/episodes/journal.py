"""The drives of a campaign so far, a line each: an hour of driving outlives the command that was killed.

Answers: which drives are driven already? Promise: a drive of another plan (seed, weights, records, timing, commit; two
edits of one commit look alike) is never taken for one of this, and a last line that was not finished is driven again.
"""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List

from duck_protection.episodes import CampaignError
from duck_protection.episodes.drive import Outcome
from duck_protection.episodes.summary import Result

Plan = Dict[str, Any]


class Journal:
    """results: of the drives before this start, in their order; add() takes those that follow.

    Nothing is written before the first add(); a journal that is not gone on with is kept beside it, as FILE.before.
    """

    def __init__(self, file: Path, plan: Plan, resume: bool) -> None:
        """Begin anew, or go on where the file ends.

        Raises:
            CampaignError: The file is of another plan, or a line before its last cannot be read.
        """
        self._file, self._plan, self._begun, self._resumes = file, plan, False, resume
        self.results: List[Result] = _read(file, plan) if resume and file.exists() else []

    def add(self, result: Result) -> None:
        """Written before the next drive is counted."""
        if not self._begun:
            self._begin()
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(asdict(result)))

    def _begin(self) -> None:
        self._begun = True
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._file.exists() and not self._resumes:
            self._file.replace(self._file.with_name(f"{self._file.name}.before"))
        lines = [self._plan, *map(asdict, self.results)]
        partial = self._file.with_name(f"{self._file.name}.partial")  # a kill here must not cost what is driven
        partial.write_text("".join(map(_line, lines)), encoding="utf-8")
        partial.replace(self._file)


def _read(file: Path, plan: Plan) -> List[Result]:
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]  # what follows the last end of a line is unfinished
    try:
        first, *drives = (json.loads(line) for line in whole.splitlines())
        begun, results = dict(first), [_result(one) for one in drives]
    except (ValueError, KeyError, TypeError) as err:
        raise CampaignError(f"{file}: not the journal of a campaign ({err})") from err
    differing = [key for key in plan if begun.get(key) != json.loads(json.dumps(plan[key]))]
    if differing:
        raise CampaignError(f"{file} is of another campaign (other {', '.join(differing)}); start without --resume")
    return results


def _result(line: Dict[str, Any]) -> Result:
    drives = {name: Outcome(**line[name]) for name in ("guarded", "unprotected", "ideal")}
    return Result(line["seed"], line["kind"], line["light"], **drives)


def _line(content: Dict[str, Any]) -> str:
    return json.dumps(content) + "\n"
