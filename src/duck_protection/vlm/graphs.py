"""One step with fixed shapes, recorded once and then replayed: CUDA graphs, behind a seam that a CPU can walk through.

Answers: how is a step run when its shapes are known beforehand? Promise: the step that is recorded is the very
function that runs without recording; a step's outputs stay valid until its next call, and no longer.
"""
from __future__ import annotations

from typing import Any, Callable, Protocol, Tuple

import torch
from torch import Tensor

Tensors = Tuple[Tensor, ...]
Step = Callable[..., Tensors]
WARMING_RUNS = 3  # before a recording: lazily made handles and workspaces must not be made while it runs


class Capture(Protocol):
    """Records a run, which reads and writes the same memory every time."""

    def __call__(self, run: Callable[[], Tensors]) -> Tuple[Callable[[], Any], Tensors]:
        """What repeats it, and where its results lie afterwards."""
        ...


class Recorded:
    """A step for inputs of exactly these shapes."""

    def __init__(self, step: Step, inputs: Tensors, capture: Capture) -> None:
        self._inputs = tuple(one.clone() for one in inputs)
        self._replay, self._outputs = capture(lambda: step(*self._inputs))

    def __call__(self, *inputs: Tensor) -> Tensors:
        """The step's outputs; the next call overwrites them."""
        for mine, given in zip(self._inputs, inputs):
            mine.copy_(given, non_blocking=True)
        self._replay()
        return self._outputs


class CudaCapture:
    """CUDA graphs that share one pool: what a run needs only for itself is given to the next recording as well.
    That is safe because replays follow each other on one stream and results stay referenced (torch's notes on graphs).
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream()  # one for all: cuBLAS keeps a workspace of 32 MB for each stream it has seen

    def __call__(self, run: Callable[[], Tensors]) -> Tuple[Callable[[], Any], Tensors]:
        """Records it."""
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            for _ in range(WARMING_RUNS):
                run()
        torch.cuda.current_stream().wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = run()
        return graph.replay, outputs


def rerun(run: Callable[[], Tensors]) -> Tuple[Callable[[], Any], Tensors]:
    """The stand-in without a GPU: the same fixed memory, and a run instead of a replay."""
    outputs = run()

    def replay() -> None:
        for mine, fresh in zip(outputs, run()):
            mine.copy_(fresh)

    return replay, outputs
