"""Settings that refuse bad values: frozen dataclasses with a RANGES table, filled from a mapping.

Promise: a configuration that loads is complete, typed and in range; anything else raises SettingsError with the
key, the range and the value, before anything has been published.
"""
from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Dict, Mapping, Tuple, Type, TypeVar

RangeTable = Dict[str, Tuple[float, float]]  # in a dataclass: RANGES: ClassVar[RangeTable] = {...}
T = TypeVar("T")


class SettingsError(ValueError):
    """A setting is missing, unknown, of the wrong type or out of range. Do not start."""


def check_ranges(settings: Any) -> None:
    """For __post_init__: every number named in settings.RANGES lies within its (low, high), both included."""
    for key, (low, high) in settings.RANGES.items():
        value = getattr(settings, key)
        if not low <= value <= high:  # NaN fails too
            raise SettingsError(f"{key} must be from {low} to {high}, is {value}")


def settings_from(cls: Type[T], mapping: Mapping[str, Any]) -> T:
    """An instance of the dataclass from a mapping, which may leave out what has a default, and nothing unknown.

    Types are those of the defaults or annotations: a bool is never taken for a number, a number never for text.
    """
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(mapping) - set(known))
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    values = {}
    for name, field in known.items():
        if name in mapping:
            values[name] = _typed(name, str(field.type), mapping[name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(f"{name} is not set")
    return cls(**values)


def _typed(name: str, kind: str, value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "float": number,
        "int": number and value == int(value) if number and value == value and abs(value) < 2**53 else False,
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
    }
    if kind not in fits:
        return value
    if not fits[kind]:
        raise SettingsError(f"{name} must be of type {kind}, is {value!r}")
    return {"float": float, "int": int, "bool": bool, "str": str}[kind](value)
