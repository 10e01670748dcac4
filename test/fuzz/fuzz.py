"""`./run fuzz`: hostile pictures through frames.decode(), hostile replies through judge(); coverage-guided (atheris).

Promise: a crash, an input that takes longer than LIMIT_S, or memory that grows ends with a status that is not 0 and
the input in out/fuzz/. Runs in a Python of its own (requirements-fuzz.txt), without ROS.
"""
from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 5
MEMORY_MB = 1024
MAX_BYTES = 20_000


def seeds(target: str, folder: Path) -> None:
    """What the fuzzer starts from."""
    if target == "replies":
        (folder / "true.json").write_bytes(
            b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{"top_logprobs": '
            b'[{"token": "Clear", "logprob": -0.1}, {"token": "Stop", "logprob": -2.5}]}]}}]}'
        )
        (folder / "numbers").write_bytes(bytes(range(64)))
        return
    rows, columns = np.mgrid[0:48, 0:64]
    picture = Image.fromarray(np.stack([rows * 5, columns * 3, rows ^ columns], axis=2).astype(np.uint8))
    kinds = {"plain.jpg": {}, "progressive.jpg": {"progressive": True}, "plain.png": {}, "plain.ppm": {}}
    for name, options in kinds.items():
        out = io.BytesIO()
        picture.save(out, {"jpg": "JPEG", "png": "PNG", "ppm": "PPM"}[name[-3:]], **options)
        (folder / name).write_bytes(out.getvalue())
    grey = io.BytesIO()
    picture.convert("L").save(grey, "JPEG")
    (folder / "grey.jpg").write_bytes(grey.getvalue())


def fuzzed(target: str, runs: int) -> int:
    """The target's exit status."""
    finds = ROOT / "out" / "fuzz"
    finds.mkdir(parents=True, exist_ok=True)
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="duck_protection_fuzz_") as scratch:
        seeds(target, Path(scratch))
        options = [f"-runs={runs}", f"-timeout={LIMIT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={MAX_BYTES}"]
        options += [f"-artifact_prefix={finds}/{target}-", "-print_final_stats=1", "-seed=1", "-verbosity=1"]
        command = [sys.executable, str(Path(__file__).with_name("targets.py")), target, str(runs), *options, scratch]
        with (finds / f"{target}.log").open("w", encoding="utf-8") as log:
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    lines = (finds / f"{target}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    mark = "✘" if status else "✔"
    print(f"{mark} {target}: {runs} inputs in {time.monotonic() - begun_s:.0f} s, exit status {status}", flush=True)
    told = lines[-25:] if status else [line for line in lines[-25:] if line.startswith(("stat::", "rss"))]
    print(*[f"    {line}" for line in told], sep="\n", flush=True)
    return status


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=200_000, help="inputs for each target (200000)")
    parser.add_argument("--only", choices=("frames", "replies"))
    options = parser.parse_args()
    targets = [options.only] if options.only else ["frames", "replies"]
    return max([fuzzed(target, options.runs) for target in targets])


if __name__ == "__main__":
    sys.exit(main())
