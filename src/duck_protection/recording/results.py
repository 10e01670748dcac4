"""What a measurement is written into: numbers beside what was measured, where and when.

Answers: which code, on which machine, on which day? Judges nothing. Promise: a written file is whole or absent,
is strict JSON (a number that is none becomes null), and two files of one schema can be compared key by key.
"""
from __future__ import annotations

import datetime
import json
import math
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Dict, Mapping, Union

ROOT = Path(__file__).resolve().parents[3]


def envelope(schema: str, **keys: Any) -> Dict[str, Any]:
    """The keys, after what every result says: schema ("latency/1"), commit, host, date."""
    date = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0).isoformat()
    return {"schema": schema, "commit": commit(), "host": host(), "date": date, **keys}


def write_json(path: Union[str, Path], result: Mapping[str, Any]) -> None:
    """Writes the result, through a neighbour that is renamed: a reader never sees half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(plain(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def plain(value: Any) -> Any:
    """The value as JSON can say it: NaN and infinities become null, numpy's numbers plain ones."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def commit() -> str:
    """The commit measured, with "+changes" for an edited tree; "unknown" outside a repository."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def host() -> Dict[str, Any]:
    """The machine in a few words, without its name."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(int((_line("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1024**2, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=str(ROOT), check=True, timeout=10, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return done.stdout.decode().strip()


def _line(file: str, key: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
