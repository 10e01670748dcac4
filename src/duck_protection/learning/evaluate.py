"""Measures a model on frames whose truth is known, through the real engine, and chooses its thresholds.

    ./run evaluate models/duckling data/heldout_plain data/heldout --validation data/plain data/train \
        --write-thresholds config/thresholds.yaml --json out/evaluation.json --card models/duckling/README.md

DATA is a folder of ./run data, or of photographs with labels.jsonl (FOLDER:SPLIT takes one split). Answers: how often
is the level right, how often is a STOP taken for CLEAR, where and in which light, how far can its probabilities be
believed, what does it answer in words? Thresholds are chosen on --validation (what training kept back there) and
--unseen (all of it) alone; without either the record in config/thresholds.yaml is used; without one, every second
look of the first DATA chooses and is not reported. A set that is named to report and to choose is refused. Writes one
page, out/evaluation.html, whose worst mistakes are to be looked at.
"""
from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import yaml

from duck_protection.learning import asking, card, evaluation, evaluation_page, records
from duck_protection.learning.evaluation import Chosen, Data
from duck_protection.question import Question, questions_from
from duck_protection.recording.results import envelope, write_json
from duck_protection.recording.sheet import sheet
from duck_protection.vlm.base import Vlm, VlmError

RECORDS = Path("config/thresholds.yaml")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(arguments)
    from duck_protection.vlm.fastvlm import FastVlm

    try:
        question = questions_from(yaml.safe_load(args.questions.read_text()))[args.question]
        vlm = FastVlm(args.model, args.device, args.dtype)
        run(vlm, question, args, shlex.join(["./run", "evaluate", *arguments]))
    except (VlmError, OSError, ValueError) as err:
        print(f"evaluate: {err}", file=sys.stderr)
        return 1
    return 0


def run(vlm: Vlm, question: Question, args: argparse.Namespace, command: str) -> None:
    """Measure, print, and write what is asked for.

    Raises:
        ValueError: A set is named to be reported and to choose on, or has nothing to choose on.
    """
    evaluation.check_apart(args.data, [*args.validation, *args.unseen])
    reported = [Data.open(named) for named in args.data]
    chosen, reported = _thresholds(vlm, question, args, reported)
    sets = [evaluation.measure(vlm, data, question, chosen.thresholds) for data in reported]
    spoken = next((data for data in reported if asking.known(data.frames)), None)
    asked = asking.ask(vlm, spoken.frames, args.answers) if spoken is not None and args.answers else []
    found = envelope("evaluation/1", command=command, **evaluation.summary(vlm, question, chosen, sets, asked))
    print(evaluation_page.table(found))
    if args.write_thresholds:
        records.write_record(args.write_thresholds, chosen.entry)
    if args.json:
        write_json(args.json, found)
    if args.card:
        card.write(args.card, found)
    shown = [(one.data.name, evaluation.mistakes(one, question, chosen.thresholds)) for one in sets]
    args.html.parent.mkdir(parents=True, exist_ok=True)
    sheets = {name: sheet(worst) for name, worst in shown if worst}
    args.html.write_text(evaluation_page.page(found, sheets), encoding="utf-8")
    print(f"\nthe page, with the worst mistakes: {args.html}")


def _thresholds(
    vlm: Vlm, question: Question, args: argparse.Namespace, reported: List[Data]
) -> Tuple[Chosen, List[Data]]:
    """The thresholds, and the data that may then be reported."""
    on = [Data.open(named, kept_back=True) for named in args.validation] + [Data.open(named) for named in args.unseen]
    if on:
        return evaluation.choose(vlm, on, question, args.forgive), reported
    known = None if args.write_thresholds else evaluation.recorded(args.thresholds, vlm, question)
    if known is not None:
        return known, reported
    half, rest = reported[0].halves()
    return evaluation.choose(vlm, [half], question, args.forgive), [rest, *reported[1:]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "./run evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder or hub name")
    parser.add_argument("data", nargs="+", metavar="DATA", help="the frames to report; the first ones' numbers lead")
    kept = "data sets of the training: choose on what it kept back"
    parser.add_argument("--validation", nargs="+", default=[], metavar="DATA", help=kept)
    parser.add_argument("--unseen", nargs="+", default=[], metavar="DATA", help="others to choose on, wholly")
    parser.add_argument("--questions", type=Path, default=Path("config/questions.yaml"))
    parser.add_argument("--question", default="road")
    parser.add_argument("--forgive", type=float, default=0.0, help="share of the STOPs that thresholds may give up")
    parser.add_argument("--thresholds", type=Path, default=RECORDS, help="where a record is looked up; %(default)s")
    parser.add_argument("--write-thresholds", type=Path, metavar="FILE", help="YAML file that takes the record")
    parser.add_argument("--answers", type=int, default=300, help="free questions to ask, 0: none; %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured")
    parser.add_argument("--html", type=Path, default=Path("out/evaluation.html"), help="%(default)s")
    parser.add_argument("--card", type=Path, metavar="FILE", help="model card whose measured part is written anew")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
