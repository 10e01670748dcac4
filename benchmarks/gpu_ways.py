"""Every way to one verdict of one model, group after group: what gpu.py measures.

Promise: each group starts from the same weights and is compared with the plain way on the same pictures; a group that
cannot be had here, or fails, is a line that says why, and the others are measured all the same.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import fields, replace
from typing import Any, Callable, Dict, List, Optional, Sequence

import torch
from pictures import ROAD, noisy
from quantising import cannot, quantise
from ways import (
    DIFFERENT,
    LOOKS,
    SECOND,
    Memory,
    Roofline,
    Way,
    engine,
    guide,
    roofline,
    second_question,
    time_in_turns,
)

from duck_protection.frames import decode
from duck_protection.tally import quantile
from duck_protection.verdict import Reply
from duck_protection.vlm.checkpoints import Checkpoint
from duck_protection.vlm.fastvlm import BATCHES, FastVlm
from duck_protection.vlm.graphs import rerun
from duck_protection.vlm.optimisations import ALL, NONE, Optimisations

UNLIKE = ("graphs", "folded")  # the eager engine is without the first; the second cannot be undone


class Run:
    """One model's ways, and whether they agree.

    Args:
        fresh: Makes the model; every time with the same weights.
        rounds: How often each way is timed.
        rehearsal: Without a GPU: fixed memory and a run in place of a recorded graph.
    """

    def __init__(self, fresh: Callable[[], Checkpoint], rounds: int, *, rehearsal: bool = False) -> None:
        self._fresh, self._rounds, self._rehearsal = fresh, rounds, rehearsal
        self.checkpoint: Optional[Checkpoint] = fresh()
        self._device, self._looks = self.checkpoint.model.device, 2 if rehearsal else LOOKS
        self._memory = Memory(str(self._device))
        self.line: Roofline = roofline(self.checkpoint, self._looks)
        self.ways: List[Way] = []
        self._frames = [decode(data) for data in noisy(99, 4)]
        self._plain = self._says(FastVlm.of(self.checkpoint, NONE))
        self.differences: Dict[str, float] = {}
        self.levels_differ: List[str] = []
        self.not_measured: Dict[str, str] = {}

    def measure(self, tokens: int, dtypes: Sequence[str], *, compiled: bool) -> Optional[float]:
        """Everything; p50 of the engine with graphs by the GPU's own clock."""
        self._try("guide", lambda: self._untouched(tokens))
        self._engine("engine, eager", replace(ALL, graphs=False))
        gpu_p50_ms = self._try("engine, graphs", self._graphs)
        self._engine("engine, graphs, question first", ALL, image_first=False)
        if compiled:
            self._engine("engine, compiled, graphs", replace(ALL, compiled=True))
        for name in [one.name for one in fields(Optimisations) if getattr(ALL, one.name) and one.name not in UNLIKE]:
            self._engine(f"engine, graphs, without {name}", replace(ALL, **{name: False}))
        self._engine("engine, graphs, all", ALL, sizes=BATCHES)
        self._try("roofline", self._look_again)
        for dtype in dtypes:
            self._quantised(dtype, compiled=compiled and dtype == "fp8")
        return gpu_p50_ms

    def p50_ms(self, name: str) -> Optional[float]:
        """Of the way of this name, if it was measured."""
        return next((way.p50_ms for way in self.ways if way.name == name), None)

    def peak_gb(self, name: str) -> Optional[float]:
        """The same, of its memory."""
        return next((way.peak_gb for way in self.ways if way.name == name), None)

    @property
    def _model(self) -> Checkpoint:
        assert self.checkpoint is not None
        return self.checkpoint

    def _untouched(self, tokens: int) -> None:
        """transformers as it is; before anything is folded."""
        plain = FastVlm.of(self._model, NONE)
        self._time([
            Way(f"guide: generate, {tokens} tokens", guide(self._model, 1, tokens)),
            Way("generate, 1 token", guide(self._model, 2, 1)),
            Way("plain: one forward pass, no shortcut", engine(plain, 3)),
        ])  # fmt: skip

    def _graphs(self) -> Optional[float]:
        vlm = self._measured("engine, graphs", ALL)
        self._time([second_question("engine, second question on a frame", vlm, 7)])
        return self._gpu_p50_ms(vlm)

    def _engine(self, name: str, chosen: Optimisations, sizes: Sequence[int] = (1,), **how: Any) -> None:
        self._try(name, lambda: self._measured(name, chosen, sizes, **how))

    def _measured(self, name: str, chosen: Optimisations, sizes: Sequence[int] = (1,), **how: Any) -> FastVlm:
        """The engine with these shortcuts, for batches of these sizes; its answers are compared with the plain ones."""
        capture = rerun if self._rehearsal and chosen.graphs else None
        vlm = FastVlm.of(self._model, chosen, batches=sizes, capture=capture, **how)
        vlm.warm_up(ROAD.prompt, (ROAD.prompt, SECOND.prompt))
        self._time([
            Way(name if size == 1 else f"{name}, batch of {size}", engine(vlm, 10 + size, size), batch=size,
                whole=not how) for size in sizes
        ])  # fmt: skip
        if not how:  # another order of question and picture is another question
            self._compare(name, self._says(vlm))
        return vlm

    def _quantised(self, dtype: str, *, compiled: bool) -> None:
        """On a model made anew: a conversion leaves no 16-bit weights."""
        name, reason = f"engine, {dtype}", cannot(dtype, self._device)
        if reason:
            self._note(name, reason)
            return
        self._try(name, lambda: self._convert(dtype))
        if self.checkpoint is not None and self.checkpoint.dtype == dtype:
            self._engine(name, ALL)
            if compiled:
                self._engine(f"{name}, compiled", replace(ALL, compiled=True))

    def _convert(self, dtype: str) -> None:
        self.checkpoint = None
        self._memory.forget()
        made = self._fresh()
        quantise(made.model, dtype)
        self.checkpoint = replace(made, dtype=dtype)

    def _look_again(self) -> None:
        self.line = self.line.looked_at_again(self._model.model, self._looks)

    def _gpu_p50_ms(self, vlm: FastVlm) -> Optional[float]:
        """From a decoded frame's upload to the probabilities."""
        if self._device.type != "cuda":
            return None
        frames, took_ms = [decode(data) for data in noisy(8, DIFFERENT)], []
        for number in range(self._rounds):
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            began.record()
            vlm.choose([frames[number % len(frames)]], [ROAD])
            ended.record()
            torch.cuda.synchronize()
            took_ms.append(began.elapsed_time(ended))
        return quantile(took_ms, 0.5)

    def _try(self, name: str, work: Callable[[], Any]) -> Any:
        """What it gives; when it fails, None and a line: on a borrowed card there may be no second run."""
        try:
            return work()
        except Exception as err:
            traceback.print_exc()
            self._note(name, f"{type(err).__name__}: {(str(err).splitlines() or [''])[0]}")
            return None

    def _note(self, name: str, reason: str) -> None:
        self.not_measured[name] = reason
        print(f"  {name:44s} not measured: {reason}", file=sys.stderr, flush=True)

    def _time(self, ways: List[Way]) -> None:
        try:
            time_in_turns(ways, self._rounds, self._memory, warming=3)
        finally:
            for way in ways:
                way.release()
        self.ways += ways
        for way in ways:
            print(f"  {way.name:44s} p50 {way.p50_ms:9.2f} ms", file=sys.stderr, flush=True)

    def _says(self, vlm: FastVlm) -> List[Reply]:
        return [vlm.choose([frame], [ROAD])[0] for frame in self._frames]

    def _compare(self, name: str, replies: List[Reply]) -> None:
        pairs = [
            (one, other) for reply, plain in zip(replies, self._plain)
            for one, other in zip(reply.probabilities, plain.probabilities)
        ]  # fmt: skip
        self.differences[name] = max(abs(one - other) for one, other in pairs)
        if likeliest(replies) != likeliest(self._plain):
            self.levels_differ.append(name)


def likeliest(replies: Sequence[Reply]) -> List[int]:
    """The most probable choice of each, as its place among the choices."""
    return [reply.probabilities.index(max(reply.probabilities)) for reply in replies]
