"""Options that the demo and the replay share: which model looks, and where the files go."""
from __future__ import annotations

import argparse
from pathlib import Path

from duck_protection.recording.results import ROOT

DUCKLING = ROOT / "models" / "duckling"


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Adds --model, --script and --out."""
    add = parser.add_argument
    add("--model", metavar="DIR", default=str(DUCKLING), help="folder of a FastVLM (models/duckling)")
    add("--script", metavar="FILE", default="", help="no model: answers from a script, see vlm/scripted.py")
    add("--out", metavar="DIR", default=str(ROOT / "out"), help="folder for all files (out)")


def finish_shared(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Sets options.backend and makes paths absolute; ends the process with status 2 where there is no such file."""
    options.backend = "scripted" if options.script else "fastvlm"
    options.out = Path(options.out).expanduser().resolve()
    options.model = str(Path(options.model).expanduser().resolve())
    if options.script:
        options.script = str(Path(options.script).expanduser().resolve())
        if not Path(options.script).is_file():
            parser.error(f"--script: {options.script} does not exist")
    elif not (Path(options.model) / "config.json").is_file():
        parser.error(f"--model: {options.model} is no checkpoint: it has no config.json")


def model_name(options: argparse.Namespace) -> str:
    """What looks, in a word or two, for titles."""
    return "a script" if options.script else Path(options.model).name
