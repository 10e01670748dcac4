"""Counters of what was served, in the words of llama.cpp's /metrics. Written by one thread, read by any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict


@dataclass
class Tallies:
    """Sums since the start; seconds are monotonic durations."""

    prompt_tokens: int = 0
    prompt_s: float = 0.0
    predicted_tokens: int = 0
    predicted_s: float = 0.0
    steps: int = 0
    busy_slots: int = 0
    longest_tokens: int = 0
    wait_s: float = 0.0
    refused: int = 0
    decisions: int = 0
    ends: Dict[str, int] = field(default_factory=dict)

    def prompt(self, tokens: int, seconds: float, wait_s: float) -> None:
        """A prompt was read, and its first token came."""
        self.prompt_tokens += tokens
        self.prompt_s += seconds
        self.wait_s += wait_s
        self.predicted_tokens += 1
        self.longest_tokens = max(self.longest_tokens, tokens)

    def step(self, slots: int, seconds: float) -> None:
        """One pass gave each of these slots a token."""
        self.steps += 1
        self.busy_slots += slots
        self.predicted_tokens += slots
        self.predicted_s += seconds

    def done(self, reason: str) -> None:
        """An answer came to its end, or failed, or was given up."""
        self.ends[reason] = self.ends.get(reason, 0) + 1
