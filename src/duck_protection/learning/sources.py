"""A labelled folder of either kind as frames: rendered ones, or photographs.

Promise: the kind is read from the labels, not from the folder's name; only frames that can be scored are there.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from duck_protection.learning import dataset, photographs
from duck_protection.learning.dataset import FrameSet
from duck_protection.verdict import Level


def folder_and_split(named: str) -> Tuple[Path, str]:
    """A data set as people name it: "FOLDER", or "FOLDER:SPLIT" for one split of it."""
    folder, _, split = named.partition(":") if not Path(named).is_dir() else (named, "", "")
    return Path(folder), split


def open_data(folder: Path, split: str = "", taught: bool = False) -> FrameSet:
    """The frames of a folder with labels.jsonl; of photographs only those whose label is scored.

    Args:
        split: Only the lines of this split (photographs: train, test).
        taught: Of photographs, those that a training may see too.

    Raises:
        FileNotFoundError: No labels.jsonl. ValueError: Not one line that can be scored.
    """
    if not (folder / "labels.jsonl").is_file():
        raise FileNotFoundError(f"{folder} has no labels.jsonl: render frames (./run data --out {folder}), or "
                                "import boxes (./run data --from-voc)")  # fmt: skip
    frames = dataset.load(folder) if dataset.is_rendered(folder) and not split else _levelled(folder, split)
    if not len(frames.files):
        frames = photographs.taught(folder, split) if taught else photographs.scored(folder, split)
    if not len(frames.files):
        raise ValueError(f"no line of {folder}/labels.jsonl{f' of split {split}' if split else ''} has a level, or a "
                         f"lane_label that is scored ({', '.join(photographs.DANGER)})")  # fmt: skip
    return frames


def kind(frames: FrameSet) -> str:
    """ "photographs" or "rendered"."""
    return "photographs" if "danger" in frames.labels[0] else "rendered"


def _levelled(folder: Path, split: str) -> FrameSet:
    """Lines that name a level themselves."""
    lines = [line for line in photographs.read_lines(folder) if line.get("level") in Level.__members__]
    lines = [line for line in lines if not split or line.get("split") == split]
    places: List[str] = [_place(line) for line in lines]
    looks = np.cumsum([0, *(here != before for before, here in zip(places, places[1:]))])[: len(places)]
    return FrameSet([folder / line["file"] for line in lines], lines, looks)


def _place(line: Dict[str, Any]) -> str:
    return str(line.get("map") or line.get("robot") or "")
