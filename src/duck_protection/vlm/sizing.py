"""How many pictures at once does this machine like best? Measured before anybody asks, in two seconds.

Answers: up to which size does a batch make a verdict cheaper here? On two cores the duckling's maps fall out of the
caches with 8 or 16 pictures, more or less so with what else runs; on a GPU larger is better for longer. Knows no torch
and no model. Promise: no batch is chosen that takes longer than a frame can wait for two of, and of sizes that hardly
differ the smallest, because nobody is served before the whole batch is.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, List, Mapping

from duck_protection.vlm.base import MemoryFullError

USUAL = 4  # where nothing was measured
ROUNDS = 3  # of each size, in turns; the quickest counts: other work can only make it slower
BUDGET_S = 2.0  # for all of it, half of it for the first round, in which every size makes its kernels
LONGEST_S = 0.1  # of a batch: a frame may wait for one and be read in the next, and is worth something for 0.25 s
ALIKE = 0.05


def picture_s(
    run: Callable[[int], object], most: int, spent: Callable[[], float] = time.perf_counter,
    clock: Callable[[], float] = time.perf_counter,
) -> Dict[int, float]:  # fmt: skip
    """Seconds of each picture in batches of 1, 2, 4, .. most, as far as time and memory allow; 1 is always there.

    Args:
        run: Reads so many pictures at once.
        spent: What is measured. On a CPU the process's own seconds say more than the wall's: other work takes turns
            with it, and a fleet is served as fast as there are cycles.
        clock: The time that it all may take.
    """
    begun_s = clock()
    took_s: Dict[int, List[float]] = {}
    for number in range(ROUNDS):
        for size in [2**power for power in range(most.bit_length())]:
            late = clock() - begun_s > BUDGET_S * (1.0 if number else 0.5)
            if (took_s and late) or (number and size not in took_s):
                break
            at_s = spent()
            try:
                run(size)
            except MemoryFullError:
                if size == 1:
                    raise
                took_s.pop(size, None)
                break
            took_s.setdefault(size, []).append((spent() - at_s) / size)
    return {size: min(all_s) for size, all_s in took_s.items()}


def best(picture: Mapping[int, float]) -> int:
    """The size to use, from picture_s()."""
    usable = {size: each_s for size, each_s in picture.items() if size == 1 or size * each_s <= LONGEST_S}
    quickest_s = min(usable.values())
    return min(size for size, each_s in usable.items() if each_s <= quickest_s * (1 + ALIKE))
