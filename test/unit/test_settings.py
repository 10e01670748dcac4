"""Bad configuration is refused with key, range and value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest

from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from


@dataclass(frozen=True)
class Sample:
    veh: str
    rate_hz: float = 10.0
    frames: int = 3
    raw: bool = False
    anything: object = None

    RANGES: ClassVar[RangeTable] = {"rate_hz": (1.0, 100.0)}

    def __post_init__(self) -> None:
        check_ranges(self)


def test_defaults_and_given_values_meet() -> None:
    assert settings_from(Sample, {"veh": "duck", "frames": 5.0}) == Sample("duck", 10.0, 5, False)


def test_whole_numbers_are_good_floats() -> None:
    sample = settings_from(Sample, {"veh": "duck", "rate_hz": 20})
    assert isinstance(sample.rate_hz, float)


def test_other_types_are_taken_as_they_are() -> None:
    assert settings_from(Sample, {"veh": "duck", "anything": [1, 2]}).anything == [1, 2]


@pytest.mark.parametrize("value", [1.0, 100.0])
def test_both_ends_of_a_range_are_in_it(value: float) -> None:
    assert Sample("duck", value).rate_hz == value


@pytest.mark.parametrize("value", [0.99, 100.01, math.nan, math.inf])
def test_out_of_range_names_key_range_and_value(value: float) -> None:
    with pytest.raises(SettingsError, match=f"rate_hz must be from 1.0 to 100.0, is {value}"):
        Sample("duck", value)


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ({}, "veh is not set"),
        ({"veh": 3}, "veh must be of type str, is 3"),
        ({"veh": "d", "rate_hz": "fast"}, "rate_hz must be of type float, is 'fast'"),
        ({"veh": "d", "rate_hz": True}, "rate_hz must be of type float, is True"),
        ({"veh": "d", "frames": 2.5}, "frames must be of type int, is 2.5"),
        ({"veh": "d", "frames": math.nan}, "frames must be of type int, is nan"),
        ({"veh": "d", "frames": math.inf}, "frames must be of type int, is inf"),
        ({"veh": "d", "raw": 1}, "raw must be of type bool, is 1"),
        ({"veh": "d", "rate": 3}, "unknown setting 'rate'; known are anything, frames, rate_hz, raw, veh"),
    ],
)
def test_refusals(mapping: dict, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        settings_from(Sample, mapping)


def test_whole_numbers_are_whole_as_far_as_a_float_can_tell() -> None:
    assert settings_from(Sample, {"veh": "duck", "frames": 200.0}).frames == 200
    assert settings_from(Sample, {"veh": "duck", "frames": 2**53 - 1}).frames == 2**53 - 1
    with pytest.raises(SettingsError, match="frames"):
        settings_from(Sample, {"veh": "duck", "frames": 2**53})


def test_a_switch_can_be_set() -> None:
    assert settings_from(Sample, {"veh": "duck", "raw": True}).raw is True
