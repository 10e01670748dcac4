"""Box labels in Pascal VOC's XML, as Duckietown's object-detection set has them, become a labels.jsonl.

Answers: which boxes are in which picture? What they mean for a robot is photographs.py's matter. Promise: no line is
written for a picture that is not there, names of ducks become one, and hostile XML (entities, huge files) is refused.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping
from xml.etree import ElementTree

from duck_protection.learning.photographs import DUCK

MOST_BYTES = 1 << 20
DUCKS = ("duckie", "duck", "rubber duck", "rubber_duck")


class VocError(ValueError):
    """This is no annotation; the message names file and fault."""


def import_voc(annotations: Path, pictures: Path, told: Mapping[str, str] = {}) -> int:
    """Write <pictures>/labels.jsonl from every *.xml below annotations; how many lines it got.

    Args:
        told: What else to say about each picture: split, robot, light, road.

    Raises:
        VocError: An annotation cannot be read; nothing was written.
    """
    lines = [line for file in sorted(annotations.rglob("*.xml")) for line in _line(file, pictures, told)]
    if not lines:
        raise VocError(f"no annotation below {annotations} names a picture in {pictures}")
    fresh = pictures / ".labels.jsonl.new"
    fresh.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    fresh.replace(pictures / "labels.jsonl")
    return len(lines)


def _line(file: Path, pictures: Path, told: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The line of an annotation, or nothing when its picture is not there."""
    root = _parsed(file)
    name = (root.findtext("filename") or "").strip()
    found = next((one for one in _candidates(name, file) if (pictures / one).is_file()), None)
    if found is None:
        return []
    size = {key: _number(root, f"size/{key}", file) for key in ("width", "height")}
    boxes = [_box(one, file) for one in root.findall("object")]
    return [{"file": found, **told, **{key: int(value) for key, value in size.items()}, "boxes": boxes}]


def _candidates(name: str, file: Path) -> List[str]:
    """As the annotation names it (never a path out of the folder), else a picture of the annotation's own name."""
    base = Path(name.replace("\\", "/")).name
    return [*([base] if base else []), f"{file.stem}.jpg", f"{file.stem}.png"]


def _box(one: ElementTree.Element, file: Path) -> Dict[str, Any]:
    name = (one.findtext("name") or "").strip()
    edges = [_number(one, f"bndbox/{edge}", file) for edge in ("xmin", "ymin", "xmax", "ymax")]
    if not (edges[0] < edges[2] and edges[1] < edges[3]):
        raise VocError(f"{file}: a box of no size: {edges}")
    return {"name": DUCK if name.lower() in DUCKS else name, "box": edges}


def _number(where: ElementTree.Element, key: str, file: Path) -> float:
    try:
        value = float(where.findtext(key) or "")
    except ValueError:
        raise VocError(f"{file}: {key} is no number") from None
    if not -1e5 < value < 1e5:  # NaN is refused too
        raise VocError(f"{file}: {key} is {value}")
    return value


def _parsed(file: Path) -> ElementTree.Element:
    if file.stat().st_size > MOST_BYTES:
        raise VocError(f"{file}: larger than {MOST_BYTES} bytes")
    text = file.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise VocError(f"{file}: annotations need no DOCTYPE")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise VocError(f"{file}: {err}") from err
    if root.tag != "annotation":
        raise VocError(f"{file}: <{root.tag}> is no annotation")
    return root
