"""The workstation's YAML files load, say what the code's defaults say, and explain every key."""
from __future__ import annotations

import math
import re
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

import yaml

from duck_protection.governor import Limits
from duck_protection.nodes.duck_protection_node import Settings
from duck_protection.nodes.eyes import EyeSettings, opener
from duck_protection.nodes.http_door import http_door
from duck_protection.nodes.shadow import ShadowSettings
from duck_protection.settings import SettingsError, settings_from

CONFIG = Path(__file__).parents[2] / "config"
NODES = {"duck_protection_node": Settings, "vlm_node": EyeSettings}
GROUPS = {"duck_protection_node": {}, "vlm_node": {"shadow": ShadowSettings}}


@pytest.mark.parametrize("name", sorted(NODES))
def test_the_file_is_the_codes_defaults_and_names_every_setting(name: str) -> None:
    content = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    inner = {group: content.pop(group) for group in GROUPS[name]}
    for cls, told in [(NODES[name], content), *((GROUPS[name][group], inner[group]) for group in inner)]:
        assert settings_from(cls, told) == cls()
        assert set(told) == set(asdict(cls()))


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_key_has_a_unit_or_range_and_a_reason(name: str) -> None:
    for line in (CONFIG / f"{name}.yaml").read_text().splitlines():
        if re.match(r"\s*\w+:", line):
            assert re.search(r"# .{20,}", line), line


@pytest.mark.parametrize(
    ("cls", "key", "value", "says"),
    [
        (Settings, "max_age_s", 0, "max_age_s must be from 0.05 to 5.0, is 0.0"),
        (Settings, "deadline_s", math.nan, "deadline_s must be from 0.02 to 5.0, is nan"),
        (Settings, "tick_hz", "fast", "tick_hz must be of type float, is 'fast'"),
        (Settings, "tick_hz", 51.0, "tick_hz must be from 5.0 to 50.0, is 51.0"),
        (Settings, "raw", 1, "raw must be of type bool, is 1"),
        (Settings, "ask_tokens", 0, "ask_tokens must be from 1 to 1024, is 0"),
        (EyeSettings, "backend", "parrot", "backend must be one of fastvlm, remote, scripted, is 'parrot'"),
        (EyeSettings, "backend", "scripted", "script must be the path of a file for backend scripted, is ''"),
        (EyeSettings, "threads", "two", "threads must be of type int, is 'two'"),
        (ShadowSettings, "backend", "remote", "shadow/server_url must name the server for shadow/backend remote"),
        (ShadowSettings, "waiting", 0, "waiting must be from 1 to 16, is 0"),
        (EyeSettings, "max_deadline_s", math.inf, "max_deadline_s must be from 0.1 to 600.0, is inf"),
    ],
)
def test_a_bad_setting_is_refused_with_key_range_and_value(cls: Any, key: str, value: object, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_from(cls, {key: value})
    assert str(refusal.value) == says


@pytest.mark.parametrize("content", ["", "- {error: NoSuchError}", "a: [b", "- 5", None])
def test_an_unusable_script_is_refused(content: Optional[str], tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"script .*script\.yaml: "):
        opener(EyeSettings(backend="scripted", script=str(file)))


def test_there_is_no_http_unless_a_port_is_named() -> None:
    assert EyeSettings().http_port == 0 and http_door(EyeSettings()) is None


def test_http_beyond_this_machine_needs_a_key_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUCK_PROTECTION_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="needs an API key"):
        http_door(EyeSettings(http_port=8080, http_host="0.0.0.0"))
    with pytest.raises(SettingsError, match="addresses or networks"):
        http_door(EyeSettings(http_port=8080, http_keyless="everybody"))


def test_a_port_that_is_taken_is_a_refusal_to_start() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"http_port {port} cannot be had on 127.0.0.1:{port}: Address already"):
            http_door(EyeSettings(http_port=port))


def test_the_protection_is_no_stricter_than_the_governor_and_says_something_before_it_calls_that_silence() -> None:
    settings, limits = Settings(), Limits()
    assert settings.max_age_s == limits.max_age_s
    assert settings.deadline_s < settings.max_age_s
    assert 2 / settings.tick_hz < limits.silence_s
    assert settings.silence_s + 1 / settings.tick_hz < 0.5
