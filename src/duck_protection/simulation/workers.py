"""Runs many jobs in worker processes, and goes on when one of them dies.

Rendering is Mesa's and MuJoCo's code: once in some 5,000 scenes a worker was seen to die of a corrupted heap. Promise:
results come in the order of the jobs, each exactly once; a dead worker costs a new pool and a few jobs done twice;
a job at which workers die again and again raises; an error in a job is raised at once.
"""
from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Callable, Iterator, Sequence, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE = 3  # deaths without a result in between


def in_order(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """The results. work must be importable: not a function of a package's __main__.

    Raises:
        BrokenProcessPool: Workers died PATIENCE times over the same job.
    """
    os.environ["LP_NUM_THREADS"] = "1"  # Mesa's software rasteriser: the workers fill the cores
    done = deaths = 0
    while done < len(jobs):
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            for future in [pool.submit(work, job) for job in jobs[done:]]:
                yield future.result()
                done, deaths = done + 1, 0
        except BrokenProcessPool:
            deaths += 1
            if deaths >= PATIENCE:
                raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
