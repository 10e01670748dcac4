"""What a shadow leaves behind: a line for each frame that both models read, and the pictures on which they parted.

readings.jsonl, and pictures/STAMP.jpg as they came from the camera. Knows no ROS. Promise: the folder never takes more
than its limit, however often it is opened; then nothing more is written, and full says so.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

from duck_protection.verdict import Reply

MB = 1_000_000


@dataclass(frozen=True)
class Parting:
    """How far two replies to one question are apart.

    Args:
        difference: Total variation between the two, 0 to 1; what is off the choices counts as one more choice.
    """

    same_word: bool
    difference: float


def parting(one: Reply, other: Reply) -> Parting:
    """Both replies have the same choices in the same order."""
    first, second = (
        [p * (1 - reply.off_mass) for p in reply.probabilities] + [reply.off_mass] for reply in (one, other)
    )
    best = [max(range(len(said)), key=said.__getitem__) for said in (first, second)]
    return Parting(best[0] == best[1], sum(abs(a - b) for a, b in zip(first, second)) / 2)


class ShadowRecord:
    """The folder. One thread writes.

    Args:
        max_bytes: Of all files in it, those that are there already included.

    Raises:
        OSError: The folder cannot be made.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        from duck_protection.recording.folders import size_of

        self._folder, self._left = folder, max_bytes - size_of(folder)
        self.full = False
        (folder / "pictures").mkdir(parents=True, exist_ok=True)

    def write(self, line: Dict[str, Any], picture: Optional[bytes]) -> None:
        """A line, and the camera's bytes where the two parted. Raises OSError."""
        text = json.dumps(line) + "\n"
        size = len(text) + len(picture or b"")
        if self.full or size > self._left:
            self.full = True
            return
        self._left -= size
        if picture is not None:
            (self._folder / "pictures" / f"{line['stamp_s']:.6f}.jpg").write_bytes(picture)
        with (self._folder / "readings.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)


def plain(reply: Reply) -> Dict[str, Any]:
    """A reply for a line of readings.jsonl."""
    return {
        "model": reply.identity.model, "revision": reply.identity.revision, "backend": reply.identity.backend,
        "probabilities": [round(p, 6) for p in reply.probabilities], "off_mass": round(reply.off_mass, 6),
        "infer_ms": round(reply.timings.infer_ms, 3),
    }  # fmt: skip
