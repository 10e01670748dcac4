"""From logits to what a reply says: the words' probabilities among themselves, the mass off them, the likeliest token.

Answers: how probable is each offered word, measured before anything is constrained? Promise: one transfer from the
device for the whole batch; numbers that are not numbers come out as NaN.
"""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor


class Measured(NamedTuple):
    """Of one row."""

    probabilities: Tuple[float, ...]
    off_mass: float
    likeliest: int


@torch.inference_mode()
def measure(
    logits: Tensor, offered: Sequence[Sequence[int]], states: Optional[Tensor] = None, head: Optional[Tensor] = None
) -> List[Measured]:
    """What the first answer token says about the offered tokens.

    Args:
        logits: float32, (batch, vocabulary); overwritten where exact rows are known.
        offered: Token ids of each row's words.
        states, head: With both, (batch, width) and (vocabulary, width), the words' logits are computed anew in
            float32: as bfloat16 products they are steps of 0.06 to 0.125 apart, which is up to 3 % of probability.
    """
    most = max(map(len, offered))
    ids = torch.tensor([[*row, *[row[0]] * (most - len(row))] for row in offered], device=logits.device)
    extra = torch.tensor([[place >= len(row) for place in range(most)] for row in offered], device=logits.device)
    if states is not None and head is not None:
        exact = torch.einsum("bw,bkw->bk", states.float(), head[ids].float())
        logits = logits.scatter_(1, ids, exact)
    own = logits.gather(1, ids).masked_fill(extra, -torch.inf)
    off_mass = 1 - (own.logsumexp(-1) - logits.logsumexp(-1)).exp()
    likeliest = logits.argmax(-1)  # as float32 exact up to 2**24, beyond any vocabulary
    rows = torch.cat([own.softmax(-1), off_mass[:, None], likeliest[:, None]], 1).tolist()
    return [
        Measured(tuple(row[: len(words)]), row[-2] if row[-2] != row[-2] else min(1.0, max(0.0, row[-2])), int(row[-1]))
        for row, words in zip(rows, offered)
    ]
