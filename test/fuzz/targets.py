"""What is fuzzed, and what must be true of every answer. fuzz.py starts it: targets.py TARGET RUNS LIBFUZZER-OPTIONS.

Promise of the target frames: any bytes become an array of the right type and size or a FrameError. Of replies: any
reply gets a judgement, CLEAR only with finite numbers that sum to one, enough of them CLEAR, and little off-mass;
any JSON of a server becomes probabilities or a VlmError.
"""
from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Callable, Dict

import atheris

with atheris.instrument_imports(include=["duck_protection", "PIL"]):
    from duck_protection.frames import DEFAULT_LIMITS, FrameError, decode
    from duck_protection.thresholds import book_from
    from duck_protection.verdict import Identity, Level, Reply, Timings, judge
    from duck_protection.vlm.base import VlmError
    from duck_protection.vlm.openai_words import first_token, identity_in, parsed, read_choices

GROWTH_MB = 64.0  # from a third of the runs to the end; the fuzzer's own corpus is in it
LEVELS, WORDS = [Level.CLEAR, Level.SLOW, Level.STOP], ("Clear", "Slow", "Stop")
EYES = Identity("fake", "1", "none", "scripted")
RECORD = {"model": "fake", "revision": "1", "dtype": "none", "backend": "scripted", "question": "road@1",
          "stop_at": 0.2, "clear_at": 0.8, "max_off_mass": 0.1}  # fmt: skip
THRESHOLDS = book_from([RECORD]).lookup(EYES, "road@1")


def frames(data: bytes) -> None:
    """One picture."""
    try:
        rgb = decode(data)
    except FrameError:
        return
    assert rgb.dtype == "uint8" and rgb.ndim == 3 and rgb.shape[2] == 3
    assert rgb.shape[0] * rgb.shape[1] <= DEFAULT_LIMITS.max_pixels


def replies(data: bytes) -> None:
    """A reply made of numbers, and the same bytes as a server's answer."""
    source = atheris.FuzzedDataProvider(data)
    numbers = [source.ConsumeProbability() if source.ConsumeBool() else source.ConsumeFloat() for _ in range(3)]
    numbers = numbers[: source.ConsumeIntInRange(0, 3)] + [source.ConsumeFloat()] * source.ConsumeIntInRange(0, 1)
    if source.ConsumeBool() and numbers and math.isfinite(sum(numbers)) and sum(numbers) > 0:
        numbers = [number / sum(numbers) for number in numbers]
    off_mass = source.ConsumeProbability() if source.ConsumeBool() else source.ConsumeFloat()
    judged(Reply(tuple(numbers), off_mass, source.ConsumeUnicodeNoSurrogates(20), EYES, Timings()))
    server(data)


def judged(reply: Reply) -> None:
    """Judges, and looks whether a CLEAR is deserved."""
    judgement = judge(reply, LEVELS, THRESHOLDS, allow_uncalibrated=False)
    assert judgement.level in Level and isinstance(judgement.reason, str)
    if judgement.level in (Level.CLEAR, Level.SLOW):
        numbers = reply.probabilities
        assert len(numbers) == 3 and all(math.isfinite(number) and number >= -1e-3 for number in numbers), reply
        assert abs(sum(numbers) - 1) < 0.02 and reply.off_mass <= 0.1 and numbers[2] < 0.2 + 1e-9, reply
        assert judgement.level is not Level.CLEAR or numbers[0] >= 0.8 - 1e-9, reply


def server(data: bytes) -> None:
    """What a server may send."""
    try:
        content = parsed(data)
        likely = first_token(content)
        if likely:
            probabilities, off_mass, best = read_choices(likely, WORDS)
            judged(Reply(probabilities, off_mass, best, EYES, Timings()))
        identity_in(content, "")
    except VlmError:
        pass


class Watched:
    """Counts the runs, and fails the last one when memory has grown."""

    def __init__(self, target: Callable[[bytes], None], runs: int) -> None:
        self._target, self._runs, self._count, self._before_mb = target, runs, 0, 0.0

    def __call__(self, data: bytes) -> None:
        self._target(data)
        self._count += 1
        if self._count == self._runs // 3:
            self._before_mb = resident_mb()
        if self._count == self._runs - 1:
            grown_mb = resident_mb() - self._before_mb
            print(f"rss grew by {grown_mb:.1f} MB over two thirds of the runs", flush=True)
            assert grown_mb < GROWTH_MB


def resident_mb() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


TARGETS: Dict[str, Callable[[bytes], None]] = {"frames": frames, "replies": replies}

if __name__ == "__main__":
    name, runs, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], Watched(TARGETS[name], int(runs)))
    atheris.Fuzz()
