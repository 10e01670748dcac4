"""One colour and one word for each level, the same in the overlay, the timeline and the terminal.

The hues are Okabe and Ito's, told apart by people with any of the common colour vision deficiencies; wherever a
colour says something, a word or a shape says it too.
"""
from __future__ import annotations

from typing import Dict, Tuple

from duck_protection.verdict import Level

Rgb = Tuple[int, int, int]

COLOURS: Dict[Level, Rgb] = {
    Level.UNKNOWN: (123, 129, 140),  # grey: nothing is known
    Level.CLEAR: (0, 158, 115),  # bluish green
    Level.SLOW: (230, 159, 0),  # orange
    Level.STOP: (213, 65, 0),  # vermilion, a little darker for white text on it
}
INK: Rgb = (16, 20, 27)
PAPER: Rgb = (244, 246, 248)
MUTED: Rgb = (176, 184, 194)


def hex_of(colour: Rgb) -> str:
    """The colour as matplotlib and terminals want it, "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
