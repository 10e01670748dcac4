"""Draws the film of one event from its bag: python -m duck_protection.nodes.event_film FOLDER.

A process of its own, with the least priority: drawing takes seconds, and the page must not wait. Exit status 0:
clip.mp4 is there; 1: the bag has no pictures or cannot be read.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict

from duck_protection.dashboard.story import Story, write_clip
from duck_protection.nodes.bag_story import stories_of
from duck_protection.nodes.duck_protection_node import loaded
from duck_protection.question import questions_from
from duck_protection.verdict import Level

EVER = (0.0, 4e9)


def levels_of() -> Dict[str, Level]:
    """The level that each offered word stands for, of all our questions."""
    known = questions_from(loaded("", "questions.yaml"))
    return {choice.word: choice.level for question in known.values() for choice in question.choices}


def main() -> int:
    """The command; the exit status."""
    os.nice(10)
    folder = Path(sys.argv[1])
    try:
        story = stories_of(folder / "drive.bag", EVER).get(folder.parent.name) or Story(folder.parent.name)
    except ValueError as err:
        print(err, file=sys.stderr)
        return 1
    return 0 if write_clip(folder / "clip.mp4", story, levels_of()) else 1


if __name__ == "__main__":
    sys.exit(main())
