"""`./run inspect BAG`: what happened in a recording, on the operator's page: pictures, reasons, films, timelines.

Any bag with pictures or verdicts will do, of the black box or of `rosbag record`, of several robots too. Needs no ROS
master. Promise: each run writes into a new folder of its own and touches nothing else. Exit status: 0 after Ctrl-C, or
at once with --once; 1: the bag, the folder or the port cannot be used.
"""
from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from duck_protection.dashboard.app import Site
from duck_protection.dashboard.events import Event
from duck_protection.dashboard.robot import Robot
from duck_protection.dashboard.serving import PageServer, token_from
from duck_protection.dashboard.store import EventStore
from duck_protection.dashboard.story import Story, write_clip, write_frame
from duck_protection.nodes.bag_story import stories_of
from duck_protection.nodes.event_film import levels_of
from duck_protection.recording.results import ROOT

LOOK_BACK_S, LOOK_ON_S = 5.0, 5.0  # a film: as long as the black box's
MANY = 200  # events, the page's list
BUDGET = 2**40  # bytes: nothing is deleted


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command; the exit status."""
    options = _options(arguments)
    logging.getLogger("rosout").setLevel(logging.ERROR)
    try:
        stories = stories_of(options.bag)
        store = EventStore(_new_folder(options.out, options.bag.stem), BUDGET)
    except (OSError, ValueError) as err:
        print(f"inspect: {err}", file=sys.stderr)
        return 1
    found = [(story.robot, event) for story in stories.values() for event in story.events()][:MANY]
    _tell(options.bag, stories, found)
    if options.once:
        write_all(options.bag, store, found)
        print(f"written: {store.folder}")
        return 0
    return _serve(options, stories, store, found)


def _new_folder(out: Path, stem: str) -> Path:
    """Not OUT/STEM itself: that may be the person's own, or of another bag of this name."""
    out.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{stem}-", dir=out))


def write_all(bag: Path, store: EventStore, found: List[Tuple[str, Event]]) -> None:
    """Picture and film of every event into the store."""
    levels = levels_of()
    for robot, event in found:
        folder = store.open(robot, event)
        window = (event.at_s - LOOK_BACK_S, event.at_s + LOOK_ON_S)
        story = stories_of(bag, window, robot).get(robot) or Story(robot)
        write_frame(folder / "frame.jpg", story, event.at_s)
        store.changed()
        if not write_clip(folder / "clip.mp4", story, levels):
            store.miss(folder, "there are no pictures: no film was made")
        store.finish(folder)


def _serve(
    options: argparse.Namespace, stories: Dict[str, Story], store: EventStore, found: List[Tuple[str, Event]]
) -> int:
    robots = [Robot(name, story.samples(), story.choices) for name, story in stories.items()]
    levels = {word: int(level) for word, level in levels_of().items()}
    try:
        page = PageServer(Site(robots, store, None, levels, options.bag.name), options.host, options.port,
                          token_from(options.token_file, options.host))  # fmt: skip
    except (OSError, ValueError) as err:
        store.folder.rmdir()  # nothing was written yet
        print(f"inspect: {err}", file=sys.stderr)
        return 1
    page.start()
    threading.Thread(target=write_all, args=(options.bag, store, found), daemon=True).start()
    print(f"open {page.url}/   (Ctrl-C ends; films come as they are drawn, in {store.folder})", flush=True)
    try:
        while page.alive:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
    page.stop()
    return 0


def _tell(bag: Path, stories: Dict[str, Story], found: List[Tuple[str, Event]]) -> None:
    for name, story in stories.items():
        seconds = story.last_s - (story.first_s or 0.0)
        count = sum(robot == name for robot, _ in found)
        print(f"{bag.name}: {name}, {seconds:.0f} s, {len(story.drive.verdicts)} verdicts, {count} to look at")
    for robot, event in found[:20]:
        clock = time.strftime("%H:%M:%S", time.localtime(event.at_s))
        print(f"  {clock}  {robot}  {event.kind.value:9s}  {event.reason}")
    if len(found) > 20:
        print(f"  and {len(found) - 20} more")


def _options(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run inspect", description="Shows what happened in a rosbag.")
    add = parser.add_argument
    add("bag", type=Path, help="a .bag file")
    add("--out", type=Path, default=ROOT / "out" / "inspect", metavar="DIR", help="for its new folder (out/inspect)")
    add("--host", default="127.0.0.1", help="another address needs --token-file")
    add("--port", type=int, default=8091, help="0: any free one (8091)")
    add("--token-file", default="", metavar="FILE")
    add("--once", action="store_true", help="write pictures and films, and end")
    options = parser.parse_args(arguments)
    options.bag = options.bag.expanduser().resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
