"""Which of the engine's shortcuts are on; each can be switched off alone, and all together are checked against none.

Answers: what may the fast path do differently from the plain one? Knows no torch. Promise: a shortcut changes how fast
an answer comes, never which level it has: in float32 to about 1e-5, in bfloat16 to 1e-2 of probability.
"""
from __future__ import annotations

from dataclasses import dataclass, fields, replace

BATCHES = (1, 2, 4, 8, 16)  # sizes that get graphs on a GPU


@dataclass(frozen=True)
class Optimisations:
    """The shortcuts, in the order of a verdict's way."""

    device_pixels: bool = True  # frames go up as they are (uint8), and are padded and resized on the GPU
    folded: bool = True  # the tower's batch norms and layer scales are multiplied into its convolutions
    channels_last: bool = True  # the tower's pictures lie in memory pixel by pixel: half the time on a CPU
    fused: bool = True  # q, k and v are one matrix product, gate and up another
    prefix_kept: bool = True  # keys and values of the words before the picture are computed once
    image_kept: bool = True  # so are a picture's, for further questions about the same frame
    buckets: bool = True  # questions are filled up to a few lengths, so that shapes repeat
    graphs: bool = True  # CUDA graphs, one for each shape
    compiled: bool = False  # torch.compile before that; minutes at the first start, so only on demand
    exact_rows: bool = True  # the offered words' rows of the output head in float32: no ties of bfloat16

    def on(self, device: str) -> Optimisations:
        """Those that mean something on a device ("cpu", "cuda:0"): without graphs a filled-up question only costs."""
        if device.startswith("cuda"):
            return replace(self, buckets=self.buckets and (self.graphs or self.compiled))
        return replace(self, device_pixels=False, graphs=False, buckets=self.buckets and self.compiled)

    @property
    def any(self) -> bool:
        """Whether the fast path is taken at all."""
        return any(getattr(self, one.name) for one in fields(self))


ALL = Optimisations()
NONE = Optimisations(**{one.name: False for one in fields(Optimisations)})


def parsed(text: str) -> Optimisations:
    """From a setting: "all", "none", or changes to either, as in "all,-graphs" or "none,+folded".

    Raises:
        ValueError: A word is none of these.
    """
    words = [word.strip() for word in text.split(",") if word.strip()] or ["all"]
    chosen = {"all": ALL, "none": NONE}.get(words[0])
    if chosen is None:
        chosen, words = ALL, ["all", *words]
    names = [one.name for one in fields(Optimisations)]
    for word in words[1:]:
        if word[0] not in "+-" or word[1:] not in names:
            raise ValueError(f"optimisations are all or none, then +NAME or -NAME of {', '.join(names)}; not {word!r}")
        chosen = replace(chosen, **{word[1:]: word[0] == "+"})
    return chosen
