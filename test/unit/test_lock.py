"""requirements.lock and the pins agree, and each of its packages has its hashes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;#\\]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {package.lower().replace("_", "-"): version for package, version in PIN.findall(text)}


def test_the_lock_has_every_pin_at_its_version() -> None:
    locked = pins("requirements.lock")
    wanted = {**pins("requirements.txt"), **pins("requirements-dev.txt")}
    assert {name: locked.get(name) for name in wanted} == wanted, "run ./run lock"


def test_every_locked_package_has_hashes() -> None:
    blocks = re.split(r"\n(?=[a-zA-Z])", (ROOT / "requirements.lock").read_text(encoding="utf-8").strip())
    assert len(blocks) > 50
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
