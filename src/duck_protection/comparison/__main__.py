"""python -m duck_protection.comparison, started by `./run compare`: prompts, bench, decide, report, or all of them.

A is the system in use, B the candidate; each is a server's URL, or a checkpoint's folder or name. Results go into one
folder (out/compare): prompts.json, bench.json, decision.json, report.html, report.md, report.json.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence

from duck_protection.comparison import phases
from duck_protection.comparison.contenders import is_url
from duck_protection.comparison.labelled import LabelsError
from duck_protection.comparison.phases import Asked, Where
from duck_protection.recording.results import ROOT
from duck_protection.settings import SettingsError
from duck_protection.vlm.base import VlmError

KEY_VARIABLE = "FASTVLM_SERVER_KEY"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """The exit code: 0, or 1 with one line that says what is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = _parser().parse_args(arguments)
    try:
        options.act(options, phases.Run(options.out, arguments))
    except (VlmError, SettingsError, LabelsError, OSError, ValueError) as err:
        print(f"compare: {err}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "./run compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts", help="which question is best for which model; where models part")
    prompts.add_argument("--backend", action="append", required=True, metavar="URL-or-MODEL", help="may be repeated")
    prompts.add_argument("--write-thresholds", type=Path, metavar="FILE",
                         help="thresholds.yaml that takes a record for each one's best question")  # fmt: skip
    prompts.set_defaults(act=_prompts)
    bench = commands.add_parser("bench", help="latency, throughput, memory, energy, accuracy; A B A B")
    bench.set_defaults(act=_bench)
    decide = commands.add_parser("decide", help="migrate, stay or not yet")
    decide.set_defaults(act=lambda options, run: run.decide(options.config))
    report = commands.add_parser("report", help="report.html, report.md, report.json")
    report.set_defaults(act=lambda options, run: run.report(options.shadow))
    everything = commands.add_parser("all", help="all four, one after the other")
    everything.set_defaults(act=_all)
    for one in (prompts, bench, everything):
        _measured(one, default="best" if one is everything else "road")
    for one in (bench, everything):
        _pair(one)
    for one in (decide, everything):
        one.add_argument("--config", type=Path, default=ROOT / "config" / "decision.yaml")
    for one in (report, everything):
        one.add_argument("--shadow", type=Path, help="folder that vlm_node's ~shadow wrote")
    for one in (prompts, bench, decide, report, everything):
        one.add_argument("--out", type=Path, default=Path("out/compare"), help="folder; %(default)s")
    return parser


def _measured(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.jsonl (./run render --out ..)")
    parser.add_argument("--frames", type=int, default=300, help="in each part, 0: all; %(default)s")
    parser.add_argument("--questions", type=Path, default=ROOT / "config" / "questions.yaml")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the questions; may be repeated")
    parser.add_argument("--question", default=default, help="of the benchmark; best: B's in prompts.json; %(default)s")
    parser.add_argument("--key-file", action="append", default=[], metavar="URL=FILE",
                        help=f"a server's key; else the variable {KEY_VARIABLE} for all of them")  # fmt: skip
    parser.add_argument("--device", default="auto", help="of models in process: auto, cpu, cuda, cuda:N")
    parser.add_argument("--dtype", default="auto", help="of models in process, as vlm_node's")


def _pair(parser: argparse.ArgumentParser) -> None:
    for side, what in (("a", "the system in use"), ("b", "the candidate")):
        parser.add_argument(f"--{side}", required=True, metavar="URL-or-MODEL", help=what)
        parser.add_argument(f"--{side}-start", default="", metavar="COMMAND", help="starts its server: start-up time")
        parser.add_argument(f"--{side}-pid", type=int, metavar="PID", help="its process, when the port hides it")
    for name in ("blocks", "block", "warm", "answers", "windows"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--window-s", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the measurements: to see that it works")


def _asked(options: argparse.Namespace) -> Asked:
    return Asked(options.data, options.frames, options.questions, tuple(options.only), options.question)


def _where(options: argparse.Namespace, where: str, start: str = "", pid: Optional[int] = None) -> Where:
    keys = dict(pair.rsplit("=", 1) for pair in options.key_file)
    key = phases.key_of(keys.get(where, ""), KEY_VARIABLE) if is_url(where) else ""
    return Where(where, key, start, pid, options.device, options.dtype)


def _both(options: argparse.Namespace) -> List[Where]:
    return [
        _where(options, options.a, options.a_start, options.a_pid),
        _where(options, options.b, options.b_start, options.b_pid),
    ]


def _prompts(options: argparse.Namespace, run: phases.Run) -> None:
    asked = replace(_asked(options), record=options.write_thresholds)
    run.prompts([_where(options, where) for where in options.backend], asked)


def _bench(options: argparse.Namespace, run: phases.Run) -> None:
    run.bench(_both(options), _asked(options), phases.plan_of(options.quick, vars(options)))


def _all(options: argparse.Namespace, run: phases.Run) -> None:
    both = _both(options)
    run.prompts(both, _asked(options))
    run.bench(both, _asked(options), phases.plan_of(options.quick, vars(options)))
    run.decide(options.config)
    run.report(options.shadow)


if __name__ == "__main__":
    sys.exit(main())
