"""From trials to a table: for the terminal, for JSON, and between two marks in docs/safety-case.md.

Promise: a fault that was not tried says so and is never counted as kept or broken; void runs are counted and not
measured; the greatest figure is shown, not a mean.
"""
from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from fault import Evidence, Fault

BEGIN, END = "<!-- fault table: written by ./run faults --write-table -->", "<!-- end of the fault table -->"


@dataclass(frozen=True)
class Row:
    """One fault. Seconds: the greatest of its runs; None where there is none."""

    fault: Fault
    runs: int
    void: int
    stop_s_max: Optional[float]
    recovery_s_max: Optional[float]
    forbidden_motion: int
    troubles: List[str]
    missing: str
    accounts: List[Dict[str, Any]]  # of runs in which a promise seemed broken, void ones too

    @property
    def kept(self) -> bool:
        """Whether the promises held, as far as the fault could be tried."""
        return bool(self.missing) or (self.runs > 0 and not self.troubles and not self.forbidden_motion)

    def as_json(self) -> Dict[str, Any]:
        """The row's entry in the list `faults`."""
        fault = self.fault
        names = {"fault": fault.name, "group": fault.group, "bed": fault.bed, "evidence": fault.evidence.value}
        figures = {name: getattr(self, name) for name in ("runs", "void", "stop_s_max", "recovery_s_max")}
        found = {"forbidden_motion": self.forbidden_motion, "troubles": self.troubles, "not_tried": self.missing,
                 "accounts": self.accounts}  # fmt: skip
        return {**names, **figures, **found, "kept": self.kept}


def row_of(fault: Fault, trials: List[Dict[str, Any]], missing: str) -> Row:
    """What all runs of this fault amount to."""
    own = [trial for trial in trials if trial["fault"] == fault.name]
    valid = [trial for trial in own if not trial["void"]]
    troubles = [f"seed {trial['seed']}: {trouble}" for trial in valid for trouble in trial["troubles"]]
    if own and not valid:
        troubles = ["every run was void: this machine is too busy"]
    forbidden = sum(len(trial["forbidden"]) > 0 for trial in valid)
    accounts = [{"seed": trial["seed"], "void": trial["void"], "forbidden": trial["forbidden"],
                 "lines": trial["account"]} for trial in own if trial["account"]]  # fmt: skip
    return Row(fault, len(valid), len(own) - len(valid), _most(valid, "stop_s"), _most(valid, "recovery_s"),
               forbidden, troubles, missing, accounts)  # fmt: skip


def merged(rows: List[Row], faults: List[Fault], earlier: List[Dict[str, Any]]) -> List[Row]:
    """These rows, and an earlier run's for the other faults, in the order of the table."""
    now = {row.fault.name: row for row in rows}
    before = {entry["fault"]: entry for entry in earlier}
    return [now.get(fault.name) or _row_again(fault, before[fault.name]) for fault in faults
            if fault.name in now or fault.name in before]  # fmt: skip


def _row_again(fault: Fault, entry: Dict[str, Any]) -> Row:
    figures = (entry[name] for name in ("runs", "void", "stop_s_max", "recovery_s_max", "forbidden_motion"))
    return Row(fault, *figures, entry["troubles"], entry["not_tried"], entry["accounts"])


def _most(trials: List[Dict[str, Any]], key: str) -> Optional[float]:
    return max((trial[key] for trial in trials if trial[key] is not None), default=None)


def summary(rows: List[Row], seconds: float, busy: float) -> str:
    """For the terminal."""
    lines = [f"{'fault':<42} {'runs':>4} {'void':>4} {'zero':>7} {'back':>7}  kept"]
    for row in rows:
        story = row.missing or "; ".join(row.troubles) or ("yes" if row.kept else f"{row.forbidden_motion} forbidden")
        lines.append(f"{row.fault.name:<42} {row.runs:>4} {row.void:>4} {_s(row.stop_s_max):>7} "
                     f"{_s(row.recovery_s_max):>7}  {story}")  # fmt: skip
    tried, bad = [row for row in rows if not row.missing], [row for row in rows if not row.kept]
    mark = "✘" if bad else "✔"
    void = sum(row.void for row in rows)
    lines.append(f"{mark} {len(tried) - len(bad)} of {len(tried)} faults kept the promises, "
                 f"{len(rows) - len(tried)} not tried, {void} void runs; {seconds:.0f} s, {busy:.0%} busy")  # fmt: skip
    return "\n".join(lines)


def write_table(path: Path, rows: List[Row], seeds: int, busy: float) -> None:
    """Replaces what stands between the two marks."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    path.write_text(head + BEGIN + "\n" + _markdown(rows, seeds, busy) + END + tail, encoding="utf-8")


def _markdown(rows: List[Row], seeds: int, busy: float) -> str:
    day = datetime.date.today().isoformat()
    void = sum(row.void for row in rows)
    lines = [
        f"{day}, {len(rows)} faults, {seeds} runs of each, {void} void runs repeated. The machine's",
        f"two cores were up to {busy:.0%} busy, the campaign's own share included.",
        "",
        "| | fault | evidence | runs | zero after, at most | driving again after, at most | forbidden motion |",
        "|---|---|---|---|---|---|---|",
    ]
    group = ""
    for row in rows:
        shown = row.fault.group if row.fault.group != group else ""
        group = row.fault.group
        lines.append(f"| {shown} | {row.fault.name} | {row.fault.evidence.value} | {_figures(row)} |")
    return "\n".join(lines) + "\n"


def _figures(row: Row) -> str:
    if row.missing:
        return f"0 | not tried: {row.missing} | | "
    never = "never stood" if row.fault.evidence is not Evidence.LOST else "-"
    stop = never if row.stop_s_max is None else f"{row.stop_s_max:.2f} s"
    back = "-" if row.recovery_s_max is None else f"{row.recovery_s_max:.2f} s"
    trouble = f" ({'; '.join(row.troubles)})" if row.troubles else ""
    return f"{row.runs} | {stop} | {back} | {row.forbidden_motion or 'none'}{trouble}"


def _s(seconds: Optional[float]) -> str:
    return "-" if seconds is None else f"{seconds:.3f}"
