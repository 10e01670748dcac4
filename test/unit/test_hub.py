"""`fetch-model` as a person uses it: the real command and the real client, against a hub on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest
from hub_stub import COMMIT, HubStub

from duck_protection.vlm import hub as hub_module

NAME = "apple/FastVLM-0.1B"
WEIGHTS = bytes(range(256)) * 90_000  # 23 MB: the client keeps what it got in pieces of 10 MB
FILES = {
    "config.json": b"{}", "model.safetensors": WEIGHTS, "merges.txt": b"#version: 0.2\n", "LICENSE_MODEL": b"terms",
    "llava_qwen.py": b"raise SystemExit('remote code')", "pytorch_model.bin": b"\x80",
}  # fmt: skip


@pytest.fixture
def hub() -> Iterator[HubStub]:
    stub = HubStub(NAME, dict(FILES))
    yield stub
    stub.close()


class Person:
    """Runs the command in an environment of its own."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.home = home
        source = Path(hub_module.__file__).resolve().parents[2]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        path = f"{source}:{kept.get('PYTHONPATH', '')}"
        self.environment = {
            **kept, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "PYTHONPATH": path,
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "3", "HF_HUB_ETAG_TIMEOUT": "3",
        }  # fmt: skip

    def fetch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "duck_protection.vlm.hub", *arguments], env={**self.environment, **variables},
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, left running."""
        return subprocess.Popen(
            [sys.executable, "-m", "duck_protection.vlm.hub", *arguments], env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def part(self) -> Path:
        """What has come of the weights so far, 10 MB at least."""
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            for part in (self.home / "hub").glob("models--*/blobs/*.part"):
                if part.stat().st_size >= 10_000_000:
                    return part
            time.sleep(0.01)
        raise AssertionError("nothing came")

    def refusal(self, *arguments: str, **variables: str) -> str:
        """The one sentence of a command that fails."""
        done = self.fetch(*arguments, **variables)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        sentences = [line for line in done.stderr.splitlines() if line.startswith("fetch-model: ")]
        assert len(sentences) == 1, done.stderr
        return sentences[0]


@pytest.fixture
def person(hub: HubStub, tmp_path: Path) -> Person:
    return Person(tmp_path / "home", hub.url)


def test_a_model_is_fetched_once_with_its_licence_and_without_its_code(hub: HubStub, person: Person) -> None:
    first = person.fetch(NAME)
    assert first.returncode == 0, first.stderr
    folder = next((person.home / "hub").glob("models--*/snapshots/*"))
    assert folder.name == COMMIT
    assert sorted(file.name for file in folder.iterdir()) == [
        "LICENSE_MODEL", "config.json", "merges.txt", "model.safetensors",
    ]  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert f"model:={NAME}@{COMMIT}" in first.stdout
    assert "research only" in first.stderr
    asked = len(hub.downloads)
    again = person.fetch(NAME, "--revision", COMMIT)
    assert (again.returncode, len(hub.downloads)) == (0, asked)
    assert "research only" not in again.stderr


def test_a_connection_that_breaks_is_taken_up_at_the_same_byte(hub: HubStub, person: Person) -> None:
    hub.cut_at, hub.cuts = 12_000_000, 1
    assert person.fetch(NAME).returncode == 0
    ranges = [wanted for name, wanted in hub.downloads if name == "model.safetensors"]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").partition("-")[0]) >= 10_000_000
    folder = next((person.home / "hub").glob("models--*/snapshots/*"))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def weights_of(person: Person) -> bytes:
    folder = next((person.home / "hub").glob("models--*/snapshots/*"))
    return (folder / "model.safetensors").read_bytes()


def from_byte(hub: HubStub) -> list[int]:
    """Where each download of the weights began."""
    ranges = [wanted for name, wanted in hub.downloads if name == "model.safetensors"]
    return [int((wanted or "bytes=0-").removeprefix("bytes=").partition("-")[0]) for wanted in ranges]


def test_a_command_that_was_killed_is_taken_up_at_the_same_byte(hub: HubStub, person: Person) -> None:
    """A shard of FastVLM-7B has 5 GB; the client by itself would throw away what it had of it."""
    hub.hold_at = 12_000_000
    killed = person.begin(NAME)
    part = person.part()
    killed.kill()
    killed.communicate()
    hub.hold_at, hub.downloads = None, []
    assert person.fetch(NAME).returncode == 0
    (start,) = from_byte(hub)
    assert 10_000_000 <= start <= 12_000_000
    assert weights_of(person) == WEIGHTS
    assert not part.exists()
    asked = len(hub.downloads)
    assert (person.fetch(NAME).returncode, len(hub.downloads)) == (0, asked)


def test_an_interrupted_command_says_so_and_keeps_what_it_has(hub: HubStub, person: Person) -> None:
    hub.hold_at = 12_000_000
    held = person.begin(NAME)
    person.part()
    held.send_signal(signal.SIGINT)
    assert "the same command goes on where this one was" in held.communicate(timeout=60)[1]
    assert held.returncode == 130
    hub.hold_at, hub.downloads = None, []
    assert person.fetch(NAME).returncode == 0
    assert from_byte(hub)[0] >= 10_000_000


def test_what_came_wrong_is_not_kept(hub: HubStub, person: Person) -> None:
    """A power cut may leave nonsense in a file that was being written."""
    hub.hold_at = 12_000_000
    killed = person.begin(NAME)
    part = person.part()
    killed.kill()
    killed.communicate()
    with part.open("r+b") as file:
        file.write(b"nonsense")
    hub.hold_at = None
    assert "model.safetensors came with another checksum" in person.refusal(NAME)
    assert not part.exists()
    assert person.fetch(NAME).returncode == 0
    assert weights_of(person) == WEIGHTS


def test_two_commands_at_once_fetch_it_once(hub: HubStub, person: Person) -> None:
    hub.hold_at = 12_000_000
    first = person.begin(NAME)
    person.part()
    second = person.begin(NAME)
    assert second.stderr is not None
    waiting = next(line for line in second.stderr if "being fetched by another command" in line)
    assert waiting.startswith("model.safetensors")
    hub.hold_at, hub.downloads = None, []
    first.kill()
    first.communicate()
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert from_byte(hub)[0] >= 10_000_000
    assert weights_of(person) == WEIGHTS


def test_the_token_stays_with_the_hub_when_weights_come_from_elsewhere(tmp_path: Path) -> None:
    """The hub sends people to a storage of its own for large files."""
    hub, storage = HubStub(NAME, dict(FILES), token="hf_open"), HubStub(NAME, dict(FILES))
    hub.elsewhere = storage.url
    person = Person(tmp_path / "home", hub.url)
    assert person.fetch(NAME, HF_TOKEN="hf_open").returncode == 0
    assert weights_of(person) == WEIGHTS
    assert (from_byte(storage), storage.tokens) == ([0], [None])
    hub.close()
    storage.close()


def test_a_command_that_failed_keeps_what_was_complete(hub: HubStub, person: Person) -> None:
    hub.files["a-first-shard.safetensors"] = b"s" * 500_000
    hub.cut_at = 1_000_000  # every time: the hub breaks off until the client gives up
    assert "what has come is kept" in person.refusal(NAME)
    assert hub.downloads[0][0] == "a-first-shard.safetensors"
    hub.cut_at, hub.downloads = None, []
    assert person.fetch(NAME).returncode == 0
    assert "a-first-shard.safetensors" not in [name for name, _ in hub.downloads]


def test_no_network_is_one_sentence(hub: HubStub, person: Person) -> None:
    hub.close()
    said = person.refusal(NAME, HF_HUB_OFFLINE="0")
    assert "check the network" in said
    assert hub.url in said


def test_offline_is_kept_and_what_is_there_still_loads(hub: HubStub, person: Person) -> None:
    said = person.refusal(NAME, HF_HUB_OFFLINE="1")
    assert said.startswith(f"fetch-model: HF_HUB_OFFLINE is set and {NAME} is not complete in {person.home}")
    assert hub.downloads == []
    assert person.fetch(NAME).returncode == 0
    asked = len(hub.downloads)
    assert person.fetch(NAME, HF_HUB_OFFLINE="1").returncode == 0
    assert len(hub.downloads) == asked


def test_a_disk_too_small_is_said_before_the_first_byte(hub: HubStub, person: Person) -> None:
    hub.said_bytes["model.safetensors"] = 10**18
    said = person.refusal(NAME)
    assert "needs 1000000000.0 GB more" in said
    assert "set HF_HOME" in said
    assert hub.downloads == []


def test_wrong_names_and_revisions_are_one_sentence(person: Person) -> None:
    assert "there is no model apple/FastVLM-70B" in person.refusal("apple/FastVLM-70B")
    assert "must look like apple/FastVLM-7B" in person.refusal("FastVLM 7B")
    assert f"{NAME} has no revision v9" in person.refusal(NAME, "--revision", "v9")


def test_a_repository_without_weights_is_no_model(hub: HubStub, person: Person) -> None:
    del hub.files["model.safetensors"]
    assert "has no *.safetensors" in person.refusal(NAME)


def test_the_token_is_sent(tmp_path: Path) -> None:
    hub = HubStub(NAME, dict(FILES), token="hf_open")
    person = Person(tmp_path / "home", hub.url)
    assert "set HF_TOKEN" in person.refusal(NAME)
    assert person.fetch(NAME, HF_TOKEN="hf_open").returncode == 0
    hub.close()


LOADS = "import sys; from duck_protection.vlm.hub import locate; print(locate(sys.argv[1]).folder.name)"


def test_loading_by_name_takes_what_was_fetched_and_asks_nobody(hub: HubStub, person: Person) -> None:
    """A robot's eyes must not change because somebody pushed to the hub."""
    assert person.fetch(NAME).returncode == 0
    hub.close()
    for name in (NAME, f"{NAME}@{COMMIT}"):
        done = subprocess.run(
            [sys.executable, "-c", LOADS, name], env=person.environment, capture_output=True, text=True, timeout=60,
            check=True,
        )  # fmt: skip
        assert done.stdout.strip() == COMMIT
