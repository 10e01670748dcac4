"""A value that dies: the last lane pose, the last command. Silence of its sender is silence here.

Knows no clock: monotonic times are passed in. Promise: at() never gives out a value older than keeps_s; a NaN in a
time counts as old.
"""
from __future__ import annotations

from typing import Generic, Optional, Tuple, TypeVar

T = TypeVar("T")


class Fresh(Generic[T]):
    """Holds the newest value for keeps_s. One thread may put while another looks: they exchange one reference."""

    def __init__(self, keeps_s: float) -> None:
        self._keeps_s = keeps_s
        self._held: Optional[Tuple[T, float]] = None

    def put(self, value: T, mono_s: float) -> None:
        """Takes a value that came at mono_s."""
        self._held = (value, mono_s)

    def at(self, mono_s: float) -> Optional[T]:
        """The value, or None when nothing came within keeps_s before mono_s."""
        held = self._held
        if held is None or not mono_s - held[1] <= self._keeps_s:
            return None
        return held[0]
