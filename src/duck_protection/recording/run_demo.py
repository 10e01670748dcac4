"""`./run demo`: the simulated town with the real nodes, recorded and counted.

Answers with its exit status: 0 when no duck was hit; 1 when one was, when nothing was judged or a node died; 2 for
bad arguments; 130 after Ctrl-C.
"""
from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Optional, Sequence

from duck_protection.recording.options import add_shared, finish_shared, model_name
from duck_protection.recording.session import Plan, run

SHARED = ("seed", "map", "assets", "duck_every_s", "rate_hz", "backend", "model", "script", "allow_uncalibrated",
          "protection", "dashboard")  # fmt: skip
TOPICS = {
    "image/compressed": "camera_node/image/compressed",
    "verdict": "duck_protection_node/verdict",
    "truth": "sim_node/truth",
    "status": "vlm_node/status",
}


def main() -> None:
    """The command."""
    options = options_of()
    title = f"{model_name(options)}, seed {options.seed}, {options.map}"
    title += "" if options.protection else ", WITHOUT protection"
    print(f"Duck protection in a simulated town: {title}", flush=True)
    numbers = options.out / "demo.json"
    numbers.unlink(missing_ok=True)
    status = run(plan_of(options, title))
    if options.json:
        copy_of(numbers, Path(options.json))
    sys.exit(status)


def copy_of(numbers: Path, wanted: Path) -> None:
    """The numbers there too, unless there are none or that is where they are."""
    if numbers.exists() and not (wanted.exists() and wanted.samefile(numbers)):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(numbers, wanted)


def plan_of(options: argparse.Namespace, title: str) -> Plan:
    """The drive that these options ask for."""
    arguments = {key: getattr(options, key) for key in SHARED}
    arguments.update(title=title, out=options.out)
    parameters = {"seconds": options.seconds, "rate_hz": options.rate_hz, "out": str(options.out), "title": title}
    logs = options.out / "log"
    return Plan("demo.launch", {**arguments, "record": False}, "recorder_node", parameters, TOPICS, logs)


def options_of(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command's options; ends the process with status 2 where they are bad."""
    parser = argparse.ArgumentParser(prog="./run demo", description="Drives through a simulated town full of ducks.")
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="how long to record (60)")
    add("--seed", type=int, default=1, help="of ducks, clutter and noise (1)")
    add("--map", default="l_loop", help="the town's name, random:N, crossings:N or official:MAP (l_loop)")
    add("--assets", default="", metavar="NAME", help="photos, smooth or synthetic: Duckietown's own tiles and ducks")
    add("--duck-every-s", type=float, default=8.0, metavar="S", help="a duck about every S seconds (8)")
    add("--rate-hz", type=float, default=20.0, metavar="HZ", help="of the camera (20)")
    add("--no-protection", dest="protection", action="store_false", help="drive as if every frame were CLEAR")
    add("--allow-uncalibrated", action="store_true", help="let a model without a threshold record drive")
    add("--dashboard", action="store_true", help="the operator's page too, on http://127.0.0.1:8090/")
    add("--json", metavar="FILE", help="write the numbers there too")
    add_shared(parser)
    options = parser.parse_args(arguments)
    finish_shared(parser, options)
    if not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    return options


if __name__ == "__main__":
    main()
