"""How many robots one model can serve: `./run bench fleet`.

Answers: with 1, 4, 16, 32 simulated robots at 10 Hz, how many verdicts a second, how old, how evenly shared, and how
much faster than one picture at a time, padded and resized on the model's own thread? Each robot is a thread that does
what protection does: it takes the newest frame only, has one request under way at most, and drops what is late. JPEG
decoding is included, ROS is not (latency.py). Asserts nothing. Without models/duckling a random model of its size is
measured: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from pictures import ROAD, noisy

from duck_protection.frames import decode
from duck_protection.recording.results import envelope, write_json
from duck_protection.tally import quantile
from duck_protection.vlm.base import Vlm, VlmError
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.optimisations import BATCHES

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ = 10.0
DEADLINE_S = 1.0
PICTURES = 61
LINE = (
    "{robots:3d} robots: {verdicts_per_s:6.1f} verdicts/s, age p50 {age_p50_ms:5.0f} ms, p99 {age_p99_ms:5.0f} ms, "
    "fairness {fairness:.2f}, late {late}, {speedup_over_one_at_a_time:.2f} x one at a time, "
    "CPU {cpu_ms_per_verdict:.1f} ms a verdict ({one_at_a_time_cpu_ms_per_verdict:.1f})"
)


class Robot:
    """Asks about its newest frame, again and again; frames come every 1 / RATE_HZ s, each robot at its own phase."""

    def __init__(self, batcher: Batcher, number: int, pictures: Sequence[bytes], phase_s: float) -> None:
        self._batcher, self._number, self._pictures, self._phase_s = batcher, number, pictures, phase_s
        self.ages_ms: List[float] = []
        self.failed = 0
        self.thread = threading.Thread(target=self._drive, daemon=True)
        self._from_s = self._until_s = 0.0

    def start(self, from_s: float, until_s: float) -> None:
        self._from_s, self._until_s = from_s + self._phase_s, until_s
        self.thread.start()

    def _drive(self) -> None:
        seen = -1
        while True:
            now_s = time.monotonic()
            newest = int((now_s - self._from_s) * RATE_HZ)
            if now_s >= self._until_s:
                return
            if newest <= seen or now_s < self._from_s:
                time.sleep(max(0.0, self._from_s + (seen + 1) / RATE_HZ - now_s))
                continue
            seen = newest
            stamp_s = self._from_s + newest / RATE_HZ
            try:
                picture = self._pictures[(7 * self._number + newest) % len(self._pictures)]
                self._batcher.choose(decode(picture), ROAD, stamp_s + DEADLINE_S, caller=f"robot{self._number}")
                self.ages_ms.append(1e3 * (time.monotonic() - stamp_s))
            except VlmError:
                self.failed += 1


class Unprepared:
    """The same model without prepare(): all of a picture's way is the model's own thread's work."""

    def __init__(self, vlm: Vlm) -> None:
        self.identity, self.check_choices, self.generate = vlm.identity, vlm.check_choices, vlm.generate
        self.choose = vlm.choose


@dataclass(frozen=True)
class Served:
    """What one fleet got: ages of each robot's verdicts (ms), late or refused requests, seconds, and the CPU's work."""

    ages_ms: List[List[float]]
    late: int
    seconds: float
    cpu_s: float

    def __add__(self, other: Served) -> Served:
        ages = [mine + more for mine, more in zip(self.ages_ms, other.ages_ms)]
        return Served(ages, self.late + other.late, self.seconds + other.seconds, self.cpu_s + other.cpu_s)

    @property
    def all_ages_ms(self) -> List[float]:
        return list(itertools.chain.from_iterable(self.ages_ms))

    @property
    def verdicts_per_s(self) -> float:
        return len(self.all_ages_ms) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of one verdict, the askers' decoding included."""
        return 1e3 * self.cpu_s / max(1, len(self.all_ages_ms))


def measure(vlm: Vlm, robots: int, max_batch: int, seconds: float) -> Served:
    """One fleet for some seconds."""
    batcher = Batcher(vlm, max_batch, max_queue=2 * robots)
    fleet = [Robot(batcher, number, _pictures(), number / robots / RATE_HZ) for number in range(robots)]
    begun_s, worked_s = time.monotonic(), time.process_time()
    for robot in fleet:
        robot.start(begun_s, begun_s + seconds)
    for robot in fleet:
        robot.thread.join()
    worked_s = time.process_time() - worked_s
    batcher.close()
    return Served([robot.ages_ms for robot in fleet], sum(robot.failed for robot in fleet), seconds, worked_s)


def _row(robots: int, served: Served, single: Served) -> Dict[str, Any]:
    ages, each = served.all_ages_ms, [len(ages) for ages in served.ages_ms]
    return {
        "robots": robots,
        "verdicts_per_s": served.verdicts_per_s,
        "age_p50_ms": quantile(ages, 0.5),
        "age_p99_ms": quantile(ages, 0.99),
        "fairness": min(each) / max(1, max(each)),
        "late": served.late,
        "speedup_over_one_at_a_time": served.verdicts_per_s / max(1e-9, single.verdicts_per_s),
        "one_at_a_time_age_p99_ms": quantile(single.all_ages_ms, 0.99),
        "cpu_ms_per_verdict": served.cpu_ms,
        "one_at_a_time_cpu_ms_per_verdict": single.cpu_ms,
    }


@functools.lru_cache(maxsize=1)
def _pictures() -> Sequence[bytes]:
    """More than any model remembers: a camera never shows the same picture twice."""
    return noisy(1, PICTURES)


@contextlib.contextmanager
def model_folder(name: str) -> Iterator[str]:
    """The named model, the duckling, or a random one of its size."""
    duckling = ROOT / "models" / "duckling"
    if name or (duckling / "config.json").exists():
        yield name or str(duckling)
        return
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

    from duck_protection.learning.thin import thin_config
    from duck_protection.learning.tokenizer import make_tokenizer

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "random-duckling"
        tokenizer = make_tokenizer([ROAD.prompt], ROAD.words)
        FastVlmForConditionalGeneration(thin_config(tokenizer)).save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        yield str(folder)


def run(options: argparse.Namespace) -> Dict[str, Any]:
    """All fleets, each also one at a time."""
    from duck_protection.vlm.fastvlm import FastVlm

    with model_folder(options.model) as folder:
        vlm = FastVlm(folder, options.device, options.dtype)
    vlm.warm_up()
    by_size = vlm.measure_batches(BATCHES[-1])
    most = options.max_batch or vlm.best_batch
    told = ", ".join(f"{size}: {1e3 * each_s:.1f}" for size, each_s in by_size.items())
    print(f"batches of up to {most}; ms a picture by size of the batch (of CPU time, on a CPU): {told}", flush=True)
    rows = []
    for robots in options.robots:
        vlm.choose([decode(picture) for picture in _pictures()[:most]], [ROAD] * most)
        single = measure(Unprepared(vlm), robots, 1, 0.0)
        served = measure(vlm, robots, most, 0.0)
        for _ in range(options.rounds):  # in turn: whatever else this machine does meets both
            single += measure(Unprepared(vlm), robots, 1, options.seconds)
            served += measure(vlm, robots, most, options.seconds)
        row = _row(robots, served, single)
        rows.append(row)
        print(LINE.format(**row), flush=True)
    identity = vlm.identity
    about = {"model": identity.model, "dtype": identity.dtype, "device": _device(vlm), "max_batch": most}
    return {**about, "picture_ms_by_batch": {size: 1e3 * each_s for size, each_s in by_size.items()}, "fleet": rows}


def _device(vlm: Any) -> str:
    import torch

    device = vlm.checkpoint.model.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main(arguments: Optional[List[str]] = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--robots", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each fleet, in each round, twice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-batch", type=int, default=0, help="0: what is measured best at start")
    parser.add_argument("--model", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args(arguments)
    result = envelope("fleet/1", **run(options))
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
