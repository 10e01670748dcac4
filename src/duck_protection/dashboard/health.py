"""How camera, link, model and guard are, in words that help whoever stands beside a robot that does not move.

Decides nothing. Promise: a part that was never heard is not called well, and every word comes from what was measured.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

OK, WARN, BAD = "ok", "warn", "bad"
SILENT_S = 0.5  # duck_protection_node and the governor call 0.30 s silence; a person's eye needs a little more
LINK_SLOW_MS = 150.0  # of max_age_s = 400 ms: with a model's deadline of 250 ms nothing is left


@dataclass(frozen=True)
class Part:
    """One part's health: its name, ok, warn or bad, and a sentence."""

    name: str
    state: str
    words: str


@dataclass(frozen=True)
class Signs:
    """What is known of a robot's parts. Ages in seconds; None: never heard."""

    camera_age_s: Optional[float]
    camera_hz: float
    link_ms: Optional[float]  # of the last judged frame: from its stamp until the model was asked
    verdict_age_s: Optional[float]
    verdict_hz: float  # judged frames a second
    infer_ms: Optional[float]
    status: str  # vlm_node's own words; empty: never heard
    reason: str  # the last verdict's
    beat_age_s: Optional[float]
    lost: str = ""  # the guard's own words, while it holds the wheels because of a duck that it lost


def parts_of(signs: Signs) -> List[Part]:
    """Camera, link, model and guard, in this order."""
    return [_camera(signs), _link(signs), _model(signs), _guard(signs)]


def _camera(signs: Signs) -> Part:
    if signs.camera_age_s is None:
        return Part("camera", BAD, "no picture yet")
    if signs.camera_age_s > SILENT_S and not _spoken(signs):
        return Part("camera", WARN, "not known: its pictures come through duck_protection_node")
    if signs.camera_age_s > SILENT_S:
        return Part("camera", BAD, f"silent for {_span(signs.camera_age_s)}")
    return Part("camera", OK, f"{signs.camera_hz:.0f} pictures a second")


def _link(signs: Signs) -> Part:
    if signs.verdict_age_s is None:
        return Part("link", BAD, "no verdict has come yet")
    if signs.verdict_age_s > SILENT_S:
        return Part("link", BAD, f"no verdict for {_span(signs.verdict_age_s)}: duck_protection_node is silent")
    if signs.link_ms is None:
        return Part("link", WARN, "no picture was judged yet")
    if signs.link_ms > LINK_SLOW_MS:
        return Part("link", WARN, f"slow: a picture needs {signs.link_ms:.0f} ms to the workstation")
    return Part("link", OK, f"a picture needs {signs.link_ms:.0f} ms to the workstation")


def _model(signs: Signs) -> Part:
    if signs.status.startswith(("failed", "out of memory")):
        return Part("model", BAD, signs.status)
    if signs.reason.startswith("model:") and signs.verdict_age_s is not None:
        return Part("model", BAD, signs.reason[len("model:") :].strip() or "no answer")
    if not signs.status.startswith("ready") and not signs.verdict_hz:
        return Part("model", WARN, signs.status or "not heard yet")
    name = signs.status.partition(": ")[2] or "answers"
    if not signs.verdict_hz or signs.infer_ms is None:
        return Part("model", WARN, f"{name}: ready, judges nothing")
    return Part("model", OK, f"{name}: {signs.verdict_hz:.0f} looks a second, {signs.infer_ms:.0f} ms each")


def _guard(signs: Signs) -> Part:
    if signs.beat_age_s is None:
        return Part("guard", WARN, "not heard: nothing here says that the wheels are governed")
    if signs.beat_age_s > SILENT_S:
        return Part("guard", BAD, f"silent for {_span(signs.beat_age_s)}: the watchdog holds the wheels")
    return Part("guard", BAD, f"holds the wheels: {signs.lost}") if signs.lost else Part("guard", OK, "on duty")


def _spoken(signs: Signs) -> bool:
    """Whether the protection speaks now."""
    return signs.verdict_age_s is not None and signs.verdict_age_s <= SILENT_S


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
