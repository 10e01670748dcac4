"""One verdict in several ways: what is timed, and how.

Promise: every way starts with a JPEG's bytes and ends with probabilities or text on the CPU; ways that are compared
are timed in turns, so that whatever else the machine does hits all alike.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import torch
from pictures import ROAD, noisy

from duck_protection.frames import decode
from duck_protection.question import Question
from duck_protection.tally import quantile
from duck_protection.vlm import chatml
from duck_protection.vlm.checkpoints import Checkpoint
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.optimisations import NONE
from duck_protection.vlm.pixels import with_pillow

OTHER = "Is the robot in the right lane, and nothing in the way? Answer as before."
SECOND = Question("second", 1, OTHER, ROAD.choices)
LOOKS = 40  # products and copies, of which the quickest counts
DIFFERENT = 8  # pictures in turn: more than the engine keeps. Ways that share an engine need seeds of their own


@dataclass
class Way:
    """One way to a verdict: `run` gets a number that says which pictures, `prepare` comes before it, untimed."""

    name: str
    run: Callable[[int], object]
    prepare: Callable[[int], object] = lambda _: None
    batch: int = 1
    whole: bool = True  # does all of a verdict's work, so that a share of the roofline can be told
    took_ms: List[float] = field(default_factory=list)
    peak_gb: float = float("nan")

    def release(self) -> None:
        """Lets go of the model: what it holds must not count as the next one's memory."""
        self.run = self.prepare = lambda _: None

    @property
    def p50_ms(self) -> float:
        """The median call."""
        return quantile(self.took_ms, 0.5)


def guide(checkpoint: Checkpoint, seed: int, tokens: int) -> Callable[[int], object]:
    """transformers' generate, as integration guides have it: the whole prompt anew, exactly so many tokens as text."""
    model, tokenizer, pictures = checkpoint.model, checkpoint.tokenizer, noisy(seed, DIFFERENT)
    ids = torch.tensor([chatml.ids(tokenizer, ROAD.prompt, checkpoint.image_tokens)[0]], device=model.device)
    end = chatml.special_id(tokenizer, chatml.END)

    @torch.inference_mode()
    def run(number: int) -> str:
        square = with_pillow(decode(pictures[number % len(pictures)]), checkpoint.side_px)
        pixels = square[None].to(model.device).to(model.dtype) / 255
        said = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, max_new_tokens=tokens,
            min_new_tokens=tokens, do_sample=False, eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
        assert said.shape[1] == ids.shape[1] + tokens
        return str(tokenizer.decode(said[0, ids.shape[1] :].tolist()))

    return run


def engine(vlm: FastVlm, seed: int, batch: int = 1) -> Callable[[int], object]:
    """Our choose() from JPEG bytes on."""
    pictures = noisy(seed, max(DIFFERENT, 2 * batch))

    def run(number: int) -> object:
        frames = [decode(pictures[(number * batch + place) % len(pictures)]) for place in range(batch)]
        return vlm.choose(frames, [ROAD] * batch)

    return run


def second_question(name: str, vlm: FastVlm, seed: int) -> Way:
    """A further question about a frame that has just been judged."""
    frames = [decode(picture) for picture in noisy(seed, DIFFERENT)]
    return Way(
        name, lambda number: vlm.choose([frames[number % len(frames)]], [SECOND]),
        lambda number: vlm.choose([frames[number % len(frames)]], [ROAD]), whole=False,
    )  # fmt: skip


def time_in_turns(ways: Sequence[Way], rounds: int, memory: Memory, warming: int = 1) -> None:
    """Each way once, `rounds` times over, after warming runs in which its memory is measured."""
    for way in ways:
        memory.forget()
        for number in range(warming):
            way.prepare(number)
            way.run(number)
        way.peak_gb = memory.peak_gb()
    for number in range(warming, warming + rounds):
        for way in ways:
            way.prepare(number)
            memory.settle()
            began_s = time.perf_counter()
            way.run(number)
            memory.settle()
            way.took_ms.append(1e3 * (time.perf_counter() - began_s))


class Memory:
    """Of this process on a device: what is taken at most."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def forget(self) -> None:
        """Starts a new measurement."""
        gc.collect()
        if self._cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark of resident memory

    def peak_gb(self) -> float:
        """Since then; on a GPU what torch took from the card, without CUDA's own half gigabyte."""
        if self._cuda:
            return torch.cuda.max_memory_reserved() / 1e9
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9

    def settle(self) -> None:
        """Waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Roofline:
    """What one verdict needs, and what this device gives at best."""

    tflop: float
    weights_gb: float
    peak_tflops: float
    peak_gbs: float

    def looked_at_again(self, model: Any, looks: int = LOOKS) -> Roofline:
        """With the better of these peaks and those of now: on a busy machine one look may be too low."""
        tflops, gbs = _peaks(model.device, model.dtype, looks)
        return replace(self, peak_tflops=max(self.peak_tflops, tflops), peak_gbs=max(self.peak_gbs, gbs))

    def ideal_ms(self, batch: int = 1) -> float:
        """No way can be faster: the arithmetic at the measured peak, or reading every weight once."""
        return max(1e3 * batch * self.tflop / self.peak_tflops, 1e3 * self.weights_gb / self.peak_gbs)


def roofline(checkpoint: Checkpoint, looks: int = LOOKS) -> Roofline:
    """Counted on transformers' own forward pass; peaks measured with a large product and a large copy."""
    from torch.utils.flop_counter import FlopCounterMode

    model = checkpoint.model
    plain = FastVlm.of(checkpoint, NONE)
    with FlopCounterMode(display=False) as counter:
        plain.choose([decode(noisy(0, 1)[0])], [ROAD])
    table = 0 if model.config.tie_word_embeddings else model.get_input_embeddings().weight.nbytes
    weights_gb = (sum(value.nbytes for value in model.parameters()) - table) / 1e9
    return Roofline(counter.get_total_flops() / 1e12, weights_gb, *_peaks(model.device, model.dtype, looks))


def _peaks(device: torch.device, dtype: torch.dtype, looks: int) -> tuple[float, float]:
    """TFLOP/s of the best of several products, GB/s of the best of several copies (read and written)."""
    side, count = (8192, 2**29) if device.type == "cuda" else (2048, 2**27)
    matrix = torch.rand((side, side), device=device).to(dtype)
    block, other = (torch.empty(count, dtype=torch.uint8, device=device) for _ in range(2))
    product_s = min(_seconds(lambda: matrix @ matrix, device) for _ in range(looks))
    copy_s = min(_seconds(lambda: other.copy_(block), device) for _ in range(looks))
    return 2 * side**3 / product_s / 1e12, 2 * count / copy_s / 1e9


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    memory = Memory(device.type)
    memory.settle()
    began_s = time.perf_counter()
    work()
    memory.settle()
    return time.perf_counter() - began_s


def rows(ways: Sequence[Way], line: Roofline, **more: object) -> List[Dict[str, Any]]:
    """The ways as the JSON has them."""
    return [
        {
            "way": way.name, **more, "p50_ms": way.p50_ms, "p95_ms": quantile(way.took_ms, 0.95),
            "peak_gb": way.peak_gb, "roofline_share": line.ideal_ms(way.batch) / way.p50_ms if way.whole else None,
            "batch": way.batch, "runs": len(way.took_ms), "verdicts_per_s": 1e3 * way.batch / way.p50_ms,
        }
        for way in ways
    ]  # fmt: skip
