"""Contenders: failures become readings, written words become choices, and NVML's numbers become measures or reasons."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from comparison_kit import ROAD, scripted

from duck_protection.comparison.contenders import Patient, Written, is_url
from duck_protection.comparison.meters import MIB, VISIBLE, Card, NoCard, listener, open_card, taken_by
from duck_protection.comparison.starting import start_model, started_server
from duck_protection.comparison.timing import LEAST_TOKENS, words
from duck_protection.learning.choosing import Reading
from duck_protection.learning.marking import usable
from duck_protection.verdict import Level
from duck_protection.vlm.base import ChoiceError, LoadError
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

FRAME = np.zeros((48, 64, 3), np.uint8)
CLEAR = {"probabilities": {"Clear": 1.0}}


def test_one_failure_in_a_batch_is_tried_alone_and_then_counts() -> None:
    """The batch fails, then each frame is asked about by itself: the second fails again, the others answer."""
    error = {"error": "AnswerError", "text": "nonsense"}
    who = scripted(error, CLEAR, error, CLEAR)
    replies = who.vlm.choose([FRAME] * 3, [ROAD] * 3)
    assert [usable(Reading(reply, Level.CLEAR)) for reply in replies] == [True, False, True]
    assert math.isnan(replies[1].off_mass)
    assert who.vlm.failures == ["AnswerError: nonsense"]


def test_a_refused_question_is_no_failure() -> None:
    who = scripted({"error": "ChoiceError", "text": "no single tokens"})
    with pytest.raises(ChoiceError):
        who.vlm.choose([FRAME], [ROAD])


@pytest.mark.parametrize(
    ("said", "probabilities", "off_mass"),
    [
        ("Stop.", (0, 0, 1), 0.0),
        ("Clear", (1, 0, 0), 0.0),
        ("I would Stop", None, 1.0),  # no keyword is ever looked for in a sentence
        ("stop", None, 1.0),
        ("...", None, 1.0),
    ],
)
def test_a_written_word_is_a_choice_only_when_it_is_one(said: str, probabilities: Any, off_mass: float) -> None:
    vlm = Written(ScriptedVlm(lines_from([{"text": said, "probabilities": {"Clear": 1.0}}])))
    (reply,) = vlm.choose([FRAME], [ROAD])
    assert reply.off_mass == off_mass
    assert probabilities is None or reply.probabilities == probabilities


def test_a_rate_of_words_needs_some_words() -> None:
    assert math.isnan(words(scripted({"text": "Two words", **CLEAR}), FRAME).tokens_per_s)
    many = words(scripted({"text": "word " * (LEAST_TOKENS + 1), **CLEAR}), FRAME)
    assert many.first_ms >= 0 and many.tokens_per_s > 0
    failed = scripted({"error": "AnswerError", "text": "nonsense"})
    assert math.isnan(words(failed, FRAME).first_ms) and failed.vlm.failures


def test_urls_are_told_from_folders() -> None:
    assert is_url("http://127.0.0.1:8080") and is_url("https://robot.lab/v1")
    assert not is_url("models/duckling") and not is_url("apple/FastVLM-7B")


class NvmlError(Exception):
    """As pynvml's: a number says which."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


class Nvml:
    """What NVML would say of two cards: this process is on the second; hides it, or energy, when told to."""

    NVMLError, NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_LIBRARY_NOT_FOUND = NvmlError, 9, 12
    INVALID, NOT_SUPPORTED = 2, 3

    def __init__(self, energy: bool = True, names_processes: bool = True, cards: int = 2, fails: int = 0) -> None:
        self.energy, self.names_processes, self.millijoules = energy, names_processes, 1_000_000
        self.cards, self.fails = cards, fails

    def nvmlInit(self) -> None:  # noqa: N802
        if self.fails:
            raise NvmlError(self.fails)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        if not 0 <= number < self.cards:
            raise NvmlError(self.INVALID)
        return number

    def nvmlDeviceGetTotalEnergyConsumption(self, _: int) -> int:  # noqa: N802
        if not self.energy:
            raise NvmlError(self.NOT_SUPPORTED)
        self.millijoules += 2500
        return self.millijoules

    def nvmlDeviceGetMemoryInfo(self, card: int) -> Any:  # noqa: N802
        return SimpleNamespace(total=24576 * MIB, used=(1000 + 8000 * card) * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, card: int) -> Any:  # noqa: N802
        pid = os.getpid() if self.names_processes and card == 1 else 0
        return [SimpleNamespace(pid=pid, usedGpuMemory=7000 * MIB), SimpleNamespace(pid=1, usedGpuMemory=500 * MIB)]

    def nvmlDeviceGetName(self, card: int) -> bytes:  # noqa: N802
        return f"Card {card}".encode()

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "1.2"


@pytest.fixture(autouse=True)
def every_card_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)


def test_a_card_tells_memory_by_process_and_energy_in_joules() -> None:
    card = Card(Nvml(), 1)
    before_j = card.energy_j()
    assert before_j is not None and card.energy_j() == pytest.approx(before_j + 2.5)
    assert taken_by(os.getpid(), card).card_mib == 7000
    assert card.about() == {"name": "Card 1", "driver": "1.2", "memory_mib": 24576, "tells_energy": True}


def test_what_a_card_does_not_tell_is_none_and_never_zero() -> None:
    card = Card(Nvml(energy=False, names_processes=False))
    assert card.energy_j() is None
    taken = taken_by(os.getpid(), card)
    assert taken.card_mib is None and "does not name" in taken.why
    assert taken.resident_mib is not None and taken.resident_mib > 10


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("auto", "", "Card 0"),
        ("cuda", "", "Card 0"),
        ("cpu", "", "Card 0"),
        ("cuda:1", "", "Card 1"),
        ("auto", "1", "Card 1"),
        ("cuda:1", "1,0", "Card 0"),
    ],
)
def test_the_card_of_the_device_is_asked(
    device: str, visible: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the first one, whatever --device said: another card's memory and energy."""
    if visible:
        monkeypatch.setenv(VISIBLE, visible)
    about = open_card(device, Nvml()).about()
    assert about is not None and about["name"] == name


@pytest.mark.parametrize(
    ("library", "device", "visible", "taken_mib", "why"),
    [
        (Nvml(fails=Nvml.NVML_ERROR_LIBRARY_NOT_FOUND), "auto", "", 0, "no NVIDIA card here"),
        (Nvml(fails=Nvml.NVML_ERROR_DRIVER_NOT_LOADED), "auto", "", 0, "no NVIDIA card here"),
        (Nvml(cards=0), "auto", "", 0, "no NVIDIA card here"),
        (Nvml(fails=Nvml.NOT_SUPPORTED), "auto", "", None, "error 3"),  # there is one, and nobody knows what it holds
        (Nvml(), "cuda:7", "", None, "asked for cuda:7"),
        (Nvml(), "cuda:1", "0", None, "CUDA_VISIBLE_DEVICES=0"),
        (Nvml(), "auto", "GPU-1234", None, "is no number of a card"),
    ],
)
def test_only_no_card_is_zero(
    library: Any, device: str, visible: str, taken_mib: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible:
        monkeypatch.setenv(VISIBLE, visible)
    card = open_card(device, library)
    assert isinstance(card, NoCard) and why in card.why and card.about() is card.energy_j() is None
    taken = taken_by(os.getpid(), card)
    assert taken.card_mib == taken_mib and taken.why == ("" if card.sure else card.why)


def test_another_machines_process_is_not_known() -> None:
    none = NoCard("no NVIDIA card here", sure=True)
    assert taken_by(None, none).resident_mib is taken_by(None, none).card_mib is None
    assert taken_by(2**22 + 1, none).resident_mib is None
    assert listener("http://127.0.0.1:1") is None


def test_a_model_that_cannot_be_loaded_says_why_from_its_own_process() -> None:
    with pytest.raises(LoadError, match="no-such-model"):
        start_model("/no-such-model", "cpu", "auto")


def test_a_servers_command_that_ends_is_noticed_and_a_running_server_keeps_its_secret() -> None:
    ends = started_server("http://127.0.0.1:1", "", "sh -c 'exit 3'", None)
    with pytest.raises(LoadError, match="ended with status 3"), ends:
        raise AssertionError("it never answered")
    with started_server("http://127.0.0.1:1", "", "", 77) as started:
        assert started.start_s is None and started.pid == 77 and "running already" in started.why


def test_patience_keeps_what_the_model_is() -> None:
    vlm = ScriptedVlm(lines_from([CLEAR]))
    assert Patient(vlm).identity == vlm.identity and Patient(vlm).inner is vlm
