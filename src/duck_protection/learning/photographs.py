"""Real photographs as frames with a truth: boxes become places on the road, and a label by eye overrules them.

Reads labels.jsonl: an object a line with file and, where known, split, robot, light, road, width, boxes (name, box in
this file's pixels) and lane_label. A truth is "danger" (own_lane) or "none" (off_road, none); other labels are not
scored. Without a label a photograph may teach, never score, and only where no doubt about calibration and curve
changes its level. Promise: off_road and none are never STOP, own_lane is never CLEAR, whatever the boxes say.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from duck_protection.corridor import DEFAULT, Corridor, true_level
from duck_protection.learning import projection
from duck_protection.learning.dataset import FrameSet
from duck_protection.verdict import Level

Line = Dict[str, Any]

DUCK = "Duckie"
DANGER = {"own_lane": True, "off_road": False, "none": False}
NO_LANE = Corridor(half_width_m=-1.0)  # no duck is in the lane, it may be beside it
ASIDE = ("clear_road",)  # roads on which ducks were only ever put beside
BLOCK = 10  # neighbours that stay together, all in training or all kept back; its first and last have others outside


def read_lines(folder: Path) -> List[Line]:
    """The lines of labels.jsonl.

    Raises:
        FileNotFoundError: There is none.
        ValueError: A line is no JSON object with a "file".
    """
    lines = []
    for number, text in enumerate((folder / "labels.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        if text.strip():
            line = json.loads(text)
            if not isinstance(line, dict) or not isinstance(line.get("file"), str):
                raise ValueError(f"{folder}/labels.jsonl, line {number}: no object with a file")
            lines.append(line)
    return lines


def scored(folder: Path, split: str = "", robots: Sequence[str] = ()) -> FrameSet:
    """The photographs whose lane_label is scored; of one split and of these robots, where any is named."""
    return _frames(folder, lambda line: danger(line) is not None and _of(line, split, robots))


def taught(folder: Path, split: str = "", robots: Sequence[str] = ()) -> FrameSet:
    """The photographs that may teach: scored ones, and those that leave no doubt. Looks are numbered as scored()'s."""
    return _frames(folder, lambda line: _of(line, split, robots))


def danger(line: Line) -> Optional[bool]:
    """Whether a duck is in the way, by eye; None where it is not scored."""
    return DANGER.get(str(line.get("lane_label")))


def shares(line: Line) -> Optional[np.ndarray]:
    """How much CLEAR, SLOW and STOP each deserve under the projection's doubts; None where it must not teach.

    Returns:
        float64, shape (3,), sums to 1.
    """
    in_way, ground = danger(line), _ducks(line)
    if in_way is None and line.get("lane_label"):
        return None  # somebody looked and found it hard to say
    if in_way is False and line.get("lane_label") == "none":
        return np.array([1.0, 0.0, 0.0])
    if in_way is False or (in_way is None and line.get("road") in ASIDE):
        return _votes(ground, NO_LANE)
    votes = _votes(ground, DEFAULT)
    if in_way:
        votes[Level.CLEAR - 1] = 0.0
        return votes / votes.sum() if votes.sum() else np.array([0.0, 0.5, 0.5])
    return votes if votes.max() == 1.0 and "boxes" in line else None


def _votes(ground: np.ndarray, corridor: Corridor) -> np.ndarray:
    said = [
        true_level(moved, path, corridor) for moved in projection.doubts(ground) for path in projection.paths()
    ]
    return np.array([np.mean([one is level for one in said]) for level in list(Level)[1:]])


def _frames(folder: Path, wanted: Callable[[Line], bool]) -> FrameSet:
    """The wanted lines that have a truth. A look is a block of neighbours in the whole file, whatever is wanted."""
    lines = read_lines(folder)
    blocks = [f"{_place(line)} {number // BLOCK:06d}" for number, line in enumerate(lines)]
    order = {block: number for number, block in enumerate(sorted(set(blocks)))}
    known = [
        (line, share, order[block])
        for line, block in zip(lines, blocks)
        if wanted(line)
        for share in [shares(line)]
        if share is not None
    ]
    looks = np.array([look for _, _, look in known], dtype=np.int64)
    labels = [_label(line, share) for line, share, _ in known]
    return FrameSet([folder / line["file"] for line, _, _ in known], labels, looks)


def _label(line: Line, known: np.ndarray) -> Line:
    """The line as dataset.py has it, with what it says beside. Its level is the likeliest, the more careful of two."""
    told = {key: str(line[key]) for key in ("robot", "light", "road", "split", "lane_label") if line.get(key)}
    level = max(list(Level)[1:], key=lambda one: (known[one - 1], one))
    label = {"file": line["file"], "level": level.name, "map": _place(line), "shares": known.tolist(), **told}
    if "boxes" in line:
        label["ducks"] = _placed(line)
    if danger(line) is not None or line.get("road") in ASIDE:
        label["danger"] = bool(danger(line))
    return label


def _place(line: Line) -> str:
    return f"{line.get('robot', '')} {line.get('light', '')}".strip() or str(Path(line["file"]).parent)


def _placed(line: Line) -> List[Dict[str, Any]]:
    """The ducks that have a place, as render.py writes them, as if the lane led straight on."""
    boxes, width = _boxes(line), _width(line)
    return [
        {"forward_m": ahead, "left_m": left, "along_m": ahead, "offset_m": left,
         "box": [edge * projection.WIDTH_PX / width for edge in box]}
        for (ahead, left), box in zip(projection.places(boxes, width).tolist(), boxes)
        if np.isfinite(ahead)
    ]  # fmt: skip


def _ducks(line: Line) -> np.ndarray:
    ground = projection.places(_boxes(line), _width(line))
    return ground[np.isfinite(ground[:, 0])]


def _boxes(line: Line) -> List[List[float]]:
    return [one["box"] for one in line.get("boxes") or [] if one["name"] == DUCK]


def _width(line: Line) -> int:
    return int(line.get("width") or projection.WIDTH_PX)


def _of(line: Line, split: str, robots: Sequence[str]) -> bool:
    return (not split or line.get("split") == split) and (not robots or line.get("robot") in robots)
