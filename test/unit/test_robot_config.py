"""The robot's YAML files load, say what the code's defaults say, and explain every key."""
from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict

import pytest

pytest.importorskip("duckietown_msgs.msg", reason="needs the built messages: ./run test")

import yaml

from duck_protection.governor import Limits
from duck_protection.lane_control import Gains
from duck_protection.nodes import lane_follower_node, lane_guard_node, watchdog_node
from duck_protection.pacing import Pace
from duck_protection.settings import settings_from

ROOT = Path(__file__).parents[2]
NODES = {
    "lane_guard_node": (lane_guard_node.Settings, {"governor": Limits}),
    "lane_follower_node": (lane_follower_node.Settings, {"governor": Limits, "controller": Gains}),
    "watchdog_node": (watchdog_node.Settings, {}),
    "link_node": (Pace, {}),
}


def content(name: str) -> Dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", sorted(NODES))
def test_the_file_is_the_codes_defaults(name: str) -> None:
    """A node that is started again under a master that lost its parameters must behave the same."""
    cls, groups = NODES[name]
    values = content(name)
    for group, inner in groups.items():
        assert settings_from(inner, values.pop(group)) == inner()
    assert settings_from(cls, values) == cls()


def test_the_guards_file_names_every_setting() -> None:
    """docs and reasons: the follower's governor is explained there, too."""
    assert set(content("lane_guard_node")["governor"]) == set(asdict(Limits()))
    assert set(content("lane_follower_node")["controller"]) == set(asdict(Gains()))


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_key_has_a_unit_or_range_and_a_reason(name: str) -> None:
    for line in (ROOT / "config" / f"{name}.yaml").read_text().splitlines():
        if re.match(r"\s*\w+: *[^ #{]", line):
            assert re.search(r"# .{20,}", line), line


def test_the_watchdog_waits_for_several_beats_and_still_stops_within_half_a_second() -> None:
    guard, dog = lane_guard_node.Settings(), watchdog_node.Settings()
    assert 3 / guard.rate_hz < dog.silence_s <= 0.5 - 2 / dog.rate_hz
