"""One verdict of FastVLM-7B's exact shape on a GPU, in every way, in one run: `./run bench gpu`.

Answers: how near is the engine to what this card can do, how much faster than transformers' generate, what does each
shortcut bring, what do fp8, 4 and 8 bits; and do all ways agree with the plain one? Random weights, no hub. Needs a
GPU of 40 GB for the 7B; without one it says so. What cannot be had or fails is named, with its reason, and the rest is
measured. `--rehearse` walks the same way with a tiny FastVLM on the CPU, to check this programme itself.
Asserts nothing; goals are printed beside what was measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
from gpu_ways import Run
from pictures import ROAD, noisy
from shapes import SIZES, random_fastvlm
from showing import picture, table, tell
from ways import DIFFERENT, rows

from duck_protection.frames import decode
from duck_protection.recording.results import envelope
from duck_protection.vlm.checkpoints import Checkpoint
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.optimisations import NONE

ROOT = Path(__file__).resolve().parent.parent
GOALS = {  # of one H200 in bfloat16; docs/benchmarks.md
    "gpu_p50_ms": ("at most", 8.0), "whole_p50_ms": ("at most", 10.0), "speedup_over_guide": ("at least", 20.0),
    "batch_16_verdicts_per_s": ("at least", 100.0), "batch_1_peak_gb": ("at most", 17.5),
    "4bit_peak_gb": ("at most", 7.5), "second_over_first": ("at most", 0.7),
    "max_probability_difference": ("at most", 0.01),
}  # fmt: skip
QUANTISED = ("engine, fp8", "engine, 4bit", "engine, 8bit")


def numbers(run: Run, tokens: int) -> Dict[str, Any]:
    """What goals are set for, None where it was not measured, and whether the ways agree."""
    best, batch = run.p50_ms("engine, graphs"), run.p50_ms("engine, graphs, all, batch of 16")
    unquantised = [value for name, value in run.differences.items() if not name.startswith(QUANTISED)]
    return {
        "speedup_over_guide": _ratio(run.p50_ms(f"guide: generate, {tokens} tokens"), best),
        "whole_p50_ms": best,
        "batch_16_verdicts_per_s": _ratio(16e3, batch),
        "batch_1_peak_gb": run.peak_gb("engine, graphs"),
        "4bit_peak_gb": run.peak_gb("engine, 4bit"),
        "second_over_first": _ratio(run.p50_ms("engine, second question on a frame"), best),
        "max_probability_difference": max(unquantised, default=None),
        "probability_differences": run.differences,
        "levels_differ": run.levels_differ,
        "not_measured": run.not_measured,
        "roofline": {"tflop": run.line.tflop, "weights_gb": run.line.weights_gb, "ideal_ms": run.line.ideal_ms(),
                     "peak_tflops": run.line.peak_tflops, "peak_gbs": run.line.peak_gbs},
    }  # fmt: skip


def _ratio(one: Optional[float], other: Optional[float]) -> Optional[float]:
    return None if one is None or other is None else one / other


def profile(checkpoint: Checkpoint, out: Path) -> None:
    """Where a plain verdict's time goes, by operation, into a file."""
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


def shown(result: Dict[str, Any], options: argparse.Namespace) -> str:
    """For people: the table, what is missing and why, which ways answer otherwise, goals, the profile's place."""
    missing = [f"  {name}: {reason}" for name, reason in result["not_measured"].items()]
    parts = [table(result), "not measured\n" + "\n".join(missing) if missing else "",
             f"another level than the plain way: {', '.join(result['levels_differ']) or 'none'}",
             "a rehearsal: no goals" if options.rehearse else goals(result), f"profile: {options.profile}"]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _maker(options: argparse.Namespace) -> Callable[[], Checkpoint]:
    if options.rehearse:
        return lambda: random_fastvlm("tiny", "cpu", "bfloat16")
    torch.cuda.set_device(options.device)  # else memory would be read of the first card, whichever works
    return lambda: random_fastvlm(options.size, options.device, "bfloat16")


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
    parser.add_argument("--quantised", nargs="*", default=["fp8", "4bit", "8bit"], choices=["fp8", "4bit", "8bit"])
    parser.add_argument("--rehearse", action="store_true", help="a tiny model on the CPU: checks this programme only")
    options = parser.parse_args(arguments)
    if not options.rehearse and not torch.cuda.is_available():
        print("bench gpu: no GPU here; ./run bench cpu needs none, --rehearse checks this programme", file=sys.stderr)
        return 1
    fresh = _maker(options)
    card = "CPU, a rehearsal" if options.rehearse else torch.cuda.get_device_name(options.device)
    name = f"FastVLM-{'tiny' if options.rehearse else options.size}, random weights, {card}"
    run = Run(fresh, options.rounds, rehearsal=options.rehearse)
    assert run.checkpoint is not None
    profile(run.checkpoint, options.profile)
    gpu_p50_ms = run.measure(options.tokens, options.quantised, compiled=options.compiled)
    result = envelope("model-gpu/1", device=name, torch=torch.__version__, dtype="bfloat16", gpu_p50_ms=gpu_p50_ms,
                      ways=rows(run.ways, run.line, model=name), **numbers(run, options.tokens))  # fmt: skip
    tell(result, shown(result, options), options.json)
    picture(result, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
