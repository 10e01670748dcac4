"""Makes a data set to train and measure on, and a contact sheet to look at before anybody does.

    ./run data --out data/plain --n 9000 --seed 3 --scenes plain     frames of simulated towns, with their truth
    ./run data --from-voc ANNOTATIONS --out PICTURES --robot mine    boxes in Pascal VOC's XML to PICTURES/labels.jsonl
    ./run data --out DATA --look                                     only the sheet, of what is there

A rendered frame depends on the seed and its number alone, whatever the number of workers; run the command again and
it goes on where it ended. Promise: <out>/contact_sheet.jpg shows frames from all over the set as its labels have
them.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from duck_protection.learning import photographs, render
from duck_protection.learning.contact_sheet import contact_sheet
from duck_protection.learning.dataset import FrameSet
from duck_protection.learning.sources import open_data
from duck_protection.learning.voc import import_voc

TOLD = ("split", "robot", "light", "road")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Command line; the exit status."""
    args = _parser().parse_args(argv)
    try:
        if args.from_voc is not None:
            told = {key: getattr(args, key) for key in TOLD if getattr(args, key)}
            print(f"{import_voc(args.from_voc, args.out, told)} pictures in {args.out}/labels.jsonl")
        elif not args.look:
            split = args.split or args.out.resolve().name
            render.render(args.out, args.n, args.seed, args.workers, split, args.scenes, args.town, args.assets)
        sheet = args.out / "contact_sheet.jpg"
        sheet.write_bytes(contact_sheet(_shown(args.out)))
    except (OSError, ValueError) as err:
        print(f"data: {err}", file=sys.stderr)
        return 1
    print(f"look at it: {sheet}")
    return 0


def _shown(folder: Path) -> FrameSet:
    """What is scored there, else what could teach."""
    try:
        return open_data(folder)
    except ValueError:
        return photographs.taught(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "./run data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--n", type=int, default=14000, help="frames in the whole data set; %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scenes", choices=[*sorted(render.SCENES), render.MIXED], default="plain")
    render.add_town(parser)
    parser.add_argument("--look", action="store_true", help="only draw the contact sheet of what is there")
    parser.add_argument("--from-voc", type=Path, metavar="FOLDER", help="import box labels instead of rendering")
    for key in TOLD:
        parser.add_argument(f"--{key}", help="said of every picture" if key != "split" else "written into each label")
    return parser


if __name__ == "__main__":
    sys.exit(main())
