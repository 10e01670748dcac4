"""One verdict on this machine's CPU, in every way, with the duckling and with a FastVLM-0.5B: `./run bench cpu`.

Answers: how much faster is the engine than transformers' generate with 50 tokens, where a model is thin and where it is
not? The 0.5B has random weights (no hub needed) and float32. Asserts nothing.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
from shapes import random_fastvlm
from showing import picture, table, tell
from ways import Memory, Roofline, Way, engine, guide, roofline, rows, second_question, time_in_turns

from duck_protection.recording.results import envelope
from duck_protection.vlm.checkpoints import Checkpoint, load_checkpoint
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.optimisations import ALL, NONE

ROOT = Path(__file__).resolve().parent.parent


def ways_of(checkpoint: Checkpoint, tokens: int, batch: int) -> List[Way]:
    """Untouched transformers on one copy of the weights, the engine on another: folding changes a tower in place."""
    untouched = copy.deepcopy(checkpoint)
    plain, fast = FastVlm.of(untouched, NONE), FastVlm.of(checkpoint, ALL)
    first = FastVlm.of(checkpoint, ALL, image_first=False)
    ways = [
        Way(f"guide: generate, {tokens} tokens", guide(untouched, 1, tokens)),
        Way("generate, 1 token", guide(untouched, 2, 1)),
        Way("plain: one forward pass, no shortcut", engine(plain, 3)),
        Way("engine", engine(fast, 4)),
        Way("engine, question first", engine(first, 5)),
        second_question("engine, second question on a frame", fast, 6),
    ]
    return ways if batch == 1 else [*ways, Way(f"engine, batch of {batch}", engine(fast, 7, batch), batch=batch)]


def measure(name: str, checkpoint: Checkpoint, rounds: int, tokens: int, batch: int) -> Dict[str, Any]:
    """All ways with one model."""
    line: Roofline = roofline(copy.deepcopy(checkpoint))
    ways = ways_of(checkpoint, tokens, batch)
    time_in_turns(ways, rounds, Memory("cpu"))
    line = line.looked_at_again(checkpoint.model)
    by_name = {way.name: way.p50_ms for way in ways}
    about = {"model": name, "tflop": line.tflop, "weights_gb": line.weights_gb, "ideal_ms": line.ideal_ms(),
             "peak_tflops": line.peak_tflops, "peak_gbs": line.peak_gbs,
             "speedup_over_guide": ways[0].p50_ms / by_name["engine"],
             "second_over_first": by_name["engine, second question on a frame"] / by_name["engine"]}  # fmt: skip
    return {"ways": rows(ways, line, model=name), "about": about}


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--picture", type=Path, default=ROOT / "out" / "bench_cpu.png")
    parser.add_argument("--rounds", type=int, default=40, help="of the duckling")
    parser.add_argument("--rounds-05b", type=int, default=5, help="of the 0.5B, half a minute each; 0: none")
    parser.add_argument("--tokens", type=int, default=50, help="of the guide's generate")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each core")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    duckling = load_checkpoint(str(ROOT / "models" / "duckling"), "cpu")
    measured = [measure("duckling", duckling, options.rounds, options.tokens, 4)]
    if options.rounds_05b:
        thick = random_fastvlm("0.5B", "cpu", "float32")
        name = "FastVLM-0.5B, random weights"
        measured.append(measure(name, thick, options.rounds_05b, options.tokens, 1))
    result = envelope(
        "model-cpu/1", device="cpu", threads=torch.get_num_threads(), torch=torch.__version__, dtype="float32",
        ways=[row for one in measured for row in one["ways"]], models=[one["about"] for one in measured],
        speedup_over_guide=measured[0]["about"]["speedup_over_guide"],
        second_over_first=measured[0]["about"]["second_over_first"],
    )  # fmt: skip
    picture(result, options.picture)
    tell(result, table(result), options.json)


if __name__ == "__main__":
    main()
