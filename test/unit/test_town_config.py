"""The YAML files of simulator, recorder, replay and dashboard load, say the code's defaults, and explain every key."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

import yaml

from duck_protection.nodes import dashboard_node, recorder_node, replay_node, sim_node
from duck_protection.settings import SettingsError, settings_from

CONFIG = Path(__file__).parents[2] / "config"
NODES = {
    "sim_node": sim_node.Settings,
    "recorder_node": recorder_node.Settings,
    "replay_node": replay_node.Settings,
    "dashboard_node": dashboard_node.Settings,
}


@pytest.mark.parametrize("name", sorted(NODES))
def test_the_file_is_the_codes_defaults_and_names_every_setting(name: str) -> None:
    content = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    assert settings_from(NODES[name], content) == NODES[name]()
    assert set(content) == set(asdict(NODES[name]()))


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_key_has_a_reason(name: str) -> None:
    for line in (CONFIG / f"{name}.yaml").read_text().splitlines():
        if re.match(r"\w+:", line):
            assert re.search(r"# .{20,}", line), line


@pytest.mark.parametrize(
    ("said", "wrong"),
    [("no town 'nowhere'", {"map": "nowhere"}), ("no official map 'nowhere'", {"map": "official:nowhere"}),
     ("map open: no closed loop", {"map": "official:open"}), ("no assets 'oil'", {"assets": "oil"})],
)  # fmt: skip
@pytest.mark.usefixtures("assets_folder")
def test_a_wrong_town_ends_the_node_before_it_publishes(said: str, wrong: dict) -> None:
    with pytest.raises(SettingsError, match=said):
        sim_node.start(wrong)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("sim_node", {"rate_hz": 0.0}),
        ("sim_node", {"duck_every_s": float("nan")}),
        ("sim_node", {"seed": -1}),
        ("recorder_node", {"seconds": -1.0}),
        ("replay_node", {"deadline_s": 0.0}),
        ("dashboard_node", {"robots": " "}),
        ("dashboard_node", {"before_s": 20.0, "after_s": 20.0}),
        ("dashboard_node", {"port": 70000}),
        ("replay_node", {"sauce": "x"}),
    ],
)
def test_bad_settings_are_refused(name: str, bad: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        settings_from(NODES[name], bad)
