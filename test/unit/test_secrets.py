"""Keys stay where they belong: no text that a log may hold contains one."""

from __future__ import annotations

import logging
import socket
import traceback
from pathlib import Path

import pytest

from duck_protection.vlm.base import LoadError
from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

KEY = "sk-very-secret-0123456789"
ROOT = Path(__file__).parents[2]


def nobody_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_printed_settings_show_no_key() -> None:
    assert KEY not in repr(RemoteSettings("http://127.0.0.1:1", KEY))


def test_printed_settings_of_the_server_show_no_key() -> None:
    settings = pytest.importorskip("duck_protection.server.settings")
    assert KEY not in repr(settings.ServerSettings(keys=(KEY,)))


@pytest.mark.parametrize("key", [KEY, KEY + "\n", KEY + "\u00e9"])
def test_a_failure_to_connect_names_no_key(key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(LoadError) as failed:
        RemoteVlm(RemoteSettings(nobody_listens(), key, start_s=0.2))
    story = "".join(traceback.format_exception(failed.type, failed.value, failed.tb, chain=True))
    assert KEY not in str(failed.value) and KEY not in caplog.text
    assert KEY not in story


def test_no_key_is_a_ros_parameter() -> None:
    """Everybody on the network can read the parameter server; keys come from files and the environment."""
    for path in [*(ROOT / "config").glob("*.yaml"), *(ROOT / "launch").glob("*.launch")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            word = line.strip().split(":")[0] if path.suffix == ".yaml" else line
            assert 'name="key"' not in word and 'name="token"' not in word, f"{path.name}:{number}"
            assert word not in ("key", "api_key", "token", "password"), f"{path.name}:{number}"
