"""From token bytes to text, piece by piece: whole characters only, and nothing of a stop string.

Promise: the pieces joined are the whole text up to the first stop string, and no piece has to be taken back: bytes of
an unfinished character and text that may be the beginning of a stop string are held back until it is decided.
"""

from __future__ import annotations

import codecs
from typing import Sequence


class TextStream:
    """Feed it bytes; it returns text that is final. `stopped` once a stop string has come."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """What became final with these bytes."""
        return self._release(self._decoder.decode(data))

    def finish(self) -> str:
        """What was still held back, at the end of the answer."""
        if self.stopped:
            return ""
        text = self._release(self._decoder.decode(b"", final=True), last=True)
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, text: str, last: bool = False) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        if found and (last or min(found) <= cut):  # else one that begins earlier may still be completed
            self.stopped = True
            final, self._held = self._held[: min(found)], ""
            return final
        final, self._held = self._held[:cut], self._held[cut:]
        return final


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end begin this stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
