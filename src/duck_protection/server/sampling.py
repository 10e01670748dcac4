"""Which token comes next: llama.cpp's samplers over one row of logits.

Answers: given logits, history and wishes, which token id, and how likely was it? Order as llama.cpp's default chain:
bias and penalties, then top_k, top_p, min_p, then temperature. Promise: the same seed and logits give the same token;
a token that the mask forbids is never chosen; logprobs are of the model itself, before any of this.
"""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence, Tuple

import numpy as np

from duck_protection.server.engine import Sampling

PENALTY_WINDOW = 64  # tokens; llama.cpp's repeat_last_n


class Sampler:
    """Chooses the tokens of one answer.

    Args:
        bias: Added to the logits, by token id; -inf forbids.
    """

    def __init__(self, sampling: Sampling, bias: Mapping[int, float]) -> None:
        self._sampling = sampling
        self._bias_ids = np.fromiter(bias.keys(), dtype=np.int64, count=len(bias))
        self._bias = np.fromiter(bias.values(), dtype=np.float32, count=len(bias))
        self._random = np.random.default_rng(sampling.seed)
        self._history: List[int] = []

    def choose(self, logits: np.ndarray, allowed: Optional[np.ndarray] = None) -> Optional[int]:
        """The next token's id; None when none is left that may come.

        Args:
            logits: float32, (vocabulary,).
            allowed: bool, (vocabulary,).
        """
        scores = self._penalised(logits.copy())
        if allowed is not None:
            scores[~allowed] = -np.inf
        if not np.isfinite(scores).any():
            return None
        token = int(np.argmax(scores)) if self._sampling.temperature <= 0 else self._drawn(scores)
        self._history.append(token)
        return token

    def _penalised(self, scores: np.ndarray) -> np.ndarray:
        own = self._sampling
        scores[self._bias_ids] += self._bias
        if own.repeat_penalty != 1.0 or own.presence_penalty or own.frequency_penalty:
            ids, counts = np.unique(np.array(self._history[-PENALTY_WINDOW:], dtype=np.int64), return_counts=True)
            seen = scores[ids]
            seen = np.where(seen > 0, seen / own.repeat_penalty, seen * own.repeat_penalty)
            scores[ids] = seen - own.presence_penalty - own.frequency_penalty * counts.astype(np.float32)
        return scores

    def _drawn(self, scores: np.ndarray) -> int:
        own = self._sampling
        ids = _top(scores, own.top_k)
        ids = ids[np.isfinite(scores[ids])]
        chances = softmax(scores[ids])
        keep = np.cumsum(chances) - chances < own.top_p
        keep &= chances >= own.min_p * chances[0]
        keep[0] = True
        ids = ids[keep]
        chances = softmax(scores[ids] / own.temperature)
        return int(ids[self._random.choice(len(ids), p=chances)])


def _top(scores: np.ndarray, count: int) -> np.ndarray:
    """Ids by falling score; all of them when count is 0 or less."""
    if 0 < count < len(scores):
        best = np.argpartition(scores, -count)[-count:]
        return best[np.argsort(-scores[best], kind="stable")]
    return np.argsort(-scores, kind="stable")


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities, float64, summing to 1."""
    weights = np.exp(scores.astype(np.float64) - float(np.max(scores)))
    return weights / weights.sum()


def logprobs(logits: np.ndarray, token: int, count: int) -> Tuple[float, Sequence[Tuple[int, float]]]:
    """The token's own log-probability, and the likeliest `count` tokens with theirs, by falling probability."""
    peak = float(np.max(logits))
    total = peak + float(np.log(np.exp((logits - peak).astype(np.float64)).sum()))
    best = _top(logits, count)[:count] if count > 0 else []
    return float(logits[token]) - total, [(int(i), float(logits[i]) - total) for i in best]
