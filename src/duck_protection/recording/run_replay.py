"""`./run replay`: photographs or a rosbag through the real nodes; a table of verdicts and a video.

Answers with its exit status: 0 when something was judged; 1 when nothing was or a node died; 2 for bad arguments.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from duck_protection.recording.options import add_shared, finish_shared
from duck_protection.recording.session import Plan, run

TOPICS = {"verdict": "duck_protection_node/verdict", "status": "vlm_node/status"}


def main() -> None:
    """The command."""
    sys.exit(run(plan_of(options_of())))


def plan_of(options: argparse.Namespace) -> Plan:
    """The replay that these options ask for."""
    source = str(Path(options.source).expanduser().resolve())
    arguments = {key: getattr(options, key) for key in ("backend", "model", "script", "deadline_s")}
    parameters = {
        "source": source, "topic": options.topic, "out": str(options.out), "rate_hz": options.rate_hz,
        "video_rate_hz": options.video_rate_hz, "deadline_s": 2 * options.deadline_s,
    }  # fmt: skip
    background = {**arguments, "source": source, "play": False}
    return Plan("replay.launch", background, "replay_node", parameters, TOPICS, options.out / "log")


def options_of(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command's options; ends the process with status 2 where they are bad."""
    parser = argparse.ArgumentParser(prog="./run replay", description="Judges photographs or a bag, one by one.")
    add = parser.add_argument
    add("source", help="a folder of JPEG, PNG or PPM pictures, or a .bag file")
    add("--topic", default="", help="the bag's image topic, where it has several")
    add("--rate-hz", type=float, default=10.0, metavar="HZ", help="at most so many pictures a second (10)")
    add("--video-rate-hz", type=float, default=2.0, metavar="HZ", help="pictures a second in the video (2)")
    add("--deadline-s", type=float, default=5.0, metavar="S", help="for one verdict, at most 5 (5)")
    add_shared(parser)
    options = parser.parse_args(arguments)
    finish_shared(parser, options)
    if not Path(options.source).expanduser().exists():
        parser.error(f"{options.source} does not exist")
    return options


if __name__ == "__main__":
    main()
