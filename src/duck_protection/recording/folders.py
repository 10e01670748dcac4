"""How much lies in a folder, for whoever keeps to a limit on disk. Promise: what vanishes meanwhile is no error."""
from __future__ import annotations

from pathlib import Path


def size_of(folder: Path) -> int:
    """Bytes of all files in it and below it; 0 for a folder that is not there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted meanwhile
            continue
    return total
