"""One verdict of FastVLM-7B's exact shape on a GPU, in every way, in one run (one quantised): `./run bench gpu`.

Answers: how near is the engine to what this card can do, how much faster than transformers' generate, what does each
shortcut bring, what do fp8 and 4 bits; and do all ways agree with the plain one? A conversion leaves no 16-bit weights,
so a run can have one: `--quantised 4bit` for the goal of 7.5 GB. Random weights, no hub. Needs a GPU of 40 GB for the
7B; without one it says so. `--rehearse` walks the same way with the duckling on the CPU, to check the benchmark itself.
Asserts nothing; goals are printed beside what was measured.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch
from pictures import ROAD, noisy
from quantising import quantise
from shapes import SIZES, random_fastvlm
from showing import picture, table, tell
from ways import (
    DIFFERENT,
    SECOND,
    Memory,
    Roofline,
    Way,
    engine,
    guide,
    roofline,
    rows,
    second_question,
    time_in_turns,
)

from duck_protection.frames import decode
from duck_protection.recording.results import envelope
from duck_protection.tally import quantile
from duck_protection.verdict import Reply
from duck_protection.vlm.checkpoints import Checkpoint, load_checkpoint
from duck_protection.vlm.fastvlm import BATCHES, FastVlm
from duck_protection.vlm.optimisations import ALL, NONE, Optimisations

ROOT = Path(__file__).resolve().parent.parent
GOALS = {  # of one H200 in bfloat16; docs/benchmarks.md
    "gpu_p50_ms": ("at most", 8.0), "whole_p50_ms": ("at most", 10.0), "speedup_over_guide": ("at least", 20.0),
    "batch_16_verdicts_per_s": ("at least", 100.0), "batch_1_peak_gb": ("at most", 17.5),
    "4bit_peak_gb": ("at most", 7.5), "second_over_first": ("at most", 0.7),
    "max_probability_difference": ("at most", 0.01),
}  # fmt: skip


QUANTISED = ("engine, fp8", "engine, 4bit", "engine, 8bit")


class Run:
    """One model, its ways one group after the other, and whether they agree."""

    def __init__(self, checkpoint: Checkpoint, rounds: int) -> None:
        self.checkpoint, self.rounds = checkpoint, rounds
        self.memory = Memory(str(checkpoint.model.device))
        self.line: Roofline = roofline(checkpoint)
        self.ways: List[Way] = []
        self._frames = [decode(data) for data in noisy(99, 4)]
        self._plain = self._says(FastVlm.of(checkpoint, NONE))
        self.differences: Dict[str, float] = {}
        self.levels_differ: List[str] = []

    def untouched(self, tokens: int) -> None:
        """transformers as it is; before anything is folded."""
        plain = FastVlm.of(self.checkpoint, NONE)
        self._time([
            Way(f"guide: generate, {tokens} tokens", guide(self.checkpoint, 1, tokens)),
            Way("generate, 1 token", guide(self.checkpoint, 2, 1)),
            Way("plain: one forward pass, no shortcut", engine(plain, 3)),
        ])  # fmt: skip

    def engine(self, name: str, chosen: Optimisations, sizes: Sequence[int] = (1,), **how: Any) -> FastVlm:
        """The engine with these shortcuts, for batches of these sizes; its answers are compared with the plain ones."""
        vlm = FastVlm.of(self.checkpoint, chosen, batches=sizes, **how)
        vlm.warm_up(ROAD.prompt, (ROAD.prompt, SECOND.prompt))
        self._time([
            Way(name if size == 1 else f"{name}, batch of {size}", engine(vlm, 10 + size, size), batch=size,
                whole=not how) for size in sizes
        ])  # fmt: skip
        if not how:  # another order of question and picture is another question
            self._compare(name, self._says(vlm))
        return vlm

    def gpu_p50_ms(self, vlm: FastVlm) -> Optional[float]:
        """Of the GPU's own clock, from a decoded frame's upload to the probabilities."""
        if self.checkpoint.model.device.type != "cuda":
            return None
        frames, took_ms = [decode(data) for data in noisy(8, DIFFERENT)], []
        for number in range(self.rounds):
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            began.record()
            vlm.choose([frames[number % len(frames)]], [ROAD])
            ended.record()
            torch.cuda.synchronize()
            took_ms.append(began.elapsed_time(ended))
        return quantile(took_ms, 0.5)

    def second_question(self, vlm: FastVlm) -> None:
        """About a frame that was just judged."""
        self._time([second_question("engine, second question on a frame", vlm, 7)])

    def _time(self, ways: List[Way]) -> None:
        time_in_turns(ways, self.rounds, self.memory, warming=3)
        self.ways += ways
        for way in ways:
            way.release()
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


def measure(run: Run, options: argparse.Namespace) -> Dict[str, Any]:
    """Everything; quantised ones last, because they change the weights."""
    run.untouched(options.tokens)
    run.engine("engine, eager", replace(ALL, graphs=False))
    vlm = run.engine("engine, graphs", ALL)
    gpu_p50_ms = run.gpu_p50_ms(vlm)
    run.second_question(vlm)
    del vlm  # its graphs hold memory
    run.engine("engine, graphs, question first", ALL, image_first=False)
    if options.compiled:
        run.engine("engine, compiled, graphs", replace(ALL, compiled=True))
    for name in [one.name for one in fields(Optimisations) if getattr(ALL, one.name) and one.name != "graphs"]:
        if name != "folded":  # cannot be undone; the plain way is without it
            run.engine(f"engine, graphs, without {name}", replace(ALL, **{name: False}))
    run.engine("engine, graphs, all", ALL, sizes=BATCHES)
    for dtype in options.quantised:
        if quantise(run.checkpoint.model, dtype):
            run.checkpoint = replace(run.checkpoint, dtype=dtype)
            run.engine(f"engine, {dtype}", ALL)
            if options.compiled and dtype == "fp8":
                run.engine("engine, fp8, compiled", replace(ALL, compiled=True))
            break  # one conversion a run: 16-bit weights are gone afterwards
    run.line = run.line.looked_at_again(run.checkpoint.model)
    return {"gpu_p50_ms": gpu_p50_ms, **_numbers(run)}


def _numbers(run: Run) -> Dict[str, Any]:
    by_name = {way.name: way for way in run.ways}
    guide_way, best = run.ways[0], by_name["engine, graphs"]
    four = by_name.get("engine, 4bit")
    return {
        "speedup_over_guide": guide_way.p50_ms / best.p50_ms,
        "whole_p50_ms": best.p50_ms,
        "batch_16_verdicts_per_s": 16e3 / by_name["engine, graphs, all, batch of 16"].p50_ms,
        "batch_1_peak_gb": best.peak_gb,
        "4bit_peak_gb": four.peak_gb if four else None,
        "second_over_first": by_name["engine, second question on a frame"].p50_ms / best.p50_ms,
        "max_probability_difference": max(
            difference for name, difference in run.differences.items() if not name.startswith(QUANTISED)
        ),
        "probability_differences": run.differences,
        "levels_differ": run.levels_differ,
        "roofline": {"tflop": run.line.tflop, "weights_gb": run.line.weights_gb, "ideal_ms": run.line.ideal_ms(),
                     "peak_tflops": run.line.peak_tflops, "peak_gbs": run.line.peak_gbs},
    }  # fmt: skip


def profile(checkpoint: Checkpoint, out: Path) -> None:
    """Where an eager verdict's time goes, by operation, into a file."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    vlm, cuda = FastVlm.of(checkpoint, NONE), checkpoint.model.device.type == "cuda"
    frames = [decode(data) for data in noisy(98, DIFFERENT)]
    vlm.choose(frames[:1], [ROAD])
    with profiler(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as seen:
        for frame in frames:
            vlm.choose([frame], [ROAD])
    out.parent.mkdir(parents=True, exist_ok=True)
    key = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    out.write_text(seen.key_averages().table(sort_by=key, row_limit=40), encoding="utf-8")


def goals(result: Dict[str, Any]) -> str:
    """Each goal beside what was measured."""
    lines = [f"  {'goal (one H200, bf16)':32s} {'measured':>10s}"]
    for key, (bound, value) in GOALS.items():
        got = result.get(key)
        met = "not measured" if got is None else "met" if (got <= value) == (bound == "at most") else "MISSED"
        lines.append(f"  {key:32s} {'-' if got is None else format(got, '.3f'):>10s}  {bound} {value:g}: {met}")
    return "\n".join(lines)


def main(arguments: Optional[List[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--picture", type=Path, default=ROOT / "out" / "bench_gpu.png")
    parser.add_argument("--profile", type=Path, default=ROOT / "out" / "bench_gpu_profile.txt")
    parser.add_argument("--size", choices=[*SIZES], default="7B")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=50, help="of the guide's generate, exactly")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: some minutes more")
    parser.add_argument("--quantised", nargs="*", default=["fp8"], choices=["fp8", "4bit", "8bit"],
                        help="the first that can be had here is measured last; run once for each")  # fmt: skip
    parser.add_argument("--rehearse", action="store_true", help="the duckling on the CPU: checks this programme only")
    options = parser.parse_args(arguments)
    if not options.rehearse and not torch.cuda.is_available():
        print("bench gpu: no GPU here; ./run bench cpu needs none, --rehearse checks this programme", file=sys.stderr)
        return 1
    if options.rehearse:
        options.device, dtype, name = "cpu", "float32", "duckling (a rehearsal)"
        checkpoint = load_checkpoint(str(ROOT / "models" / "duckling"), "cpu")
    else:
        card = torch.cuda.get_device_name(options.device)
        dtype, name = "bfloat16", f"FastVLM-{options.size}, random weights, {card}"
        checkpoint = random_fastvlm(options.size, options.device, dtype)
    profile(checkpoint, options.profile)
    run = Run(checkpoint, options.rounds)
    numbers = measure(run, options)
    result = envelope("model-gpu/1", device=name, torch=torch.__version__, dtype=dtype,
                      ways=rows(run.ways, run.line, model=name), **numbers)  # fmt: skip
    met = "a rehearsal: no goals" if options.rehearse else goals(result)
    picture(result, options.picture)
    tell(result, "\n\n".join([table(result), met, f"profile: {options.profile}"]), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
