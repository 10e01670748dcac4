"""`./run compare` against real servers: llama-server with a tiny random Qwen2.5-VL, ours with a tiny random FastVLM.

Three contenders on the same frames: a FastVLM in this process, the same one behind our server, and llama-server. All of
them have random weights, so nobody can know anything, and the report has to find that out by itself.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Dict, Iterator

import llama
import numpy as np
import pytest
from PIL import Image
from server_kit import KEY, Client

from duck_protection.comparison.__main__ import main

FEW = ["--quick", "--blocks", "2", "--block", "4", "--windows", "1", "--window-s", "1", "--frames", "8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen places with a labelled frame each."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for number in range(16):
        noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3)).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(noise).resize((640, 480)).save(out, "JPEG", quality=90)
        (folder / f"{number:02d}.jpg").write_bytes(out.getvalue())
        level = ("CLEAR", "SLOW", "STOP")[number % 3]
        lines.append({"file": f"{number:02d}.jpg", "level": level, "map": f"place {number:02d}"})
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "key"
    file.write_text(KEY + "\n")
    return file


@pytest.fixture(scope="module")
def llama_client(tiny_vlm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if llama.missing():
        pytest.skip(llama.missing())
    with llama.llama_server(tmp_path_factory.mktemp("llama"), tiny_vlm.checkpoint.tokenizer) as client:
        yield client


def read(out: Path, name: str) -> Dict[str, Any]:
    return json.loads((out / f"{name}.json").read_text())


def test_the_same_model_in_process_and_behind_our_server_says_the_same(
    tiny_folder: Path, tiny: Client, data: Path, key_file: Path, tmp_path: Path
) -> None:
    """Also with the question before its picture: the order survives HTTP. JPEG once more costs next to nothing."""
    keys = ["--key-file", f"{tiny.url}={key_file}"]
    backends = ["--backend", str(tiny_folder), "--backend", tiny.url]
    more = ["--only", "road", "--only", "road_before", "--data", str(data), "--out", str(tmp_path), "--device", "cpu"]
    assert main(["prompts", *backends, *keys, *more]) == 0
    names = [one["name"] for one in read(tmp_path, "prompts")["contenders"]]
    lines = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    said = {(line["contender"], line["question"], line["file"]): line["off_mass"] for line in lines}
    for question in ("road@1", "road_before@1"):
        pairs = [(said[names[0], question, file], said[names[1], question, file])
                 for who, asked, file in said if (who, asked) == (names[0], question)]  # fmt: skip
        assert pairs and all(two is not None and abs(one - two) < 0.05 for one, two in pairs)


def test_llama_server_against_ours_and_the_report_says_that_it_is_chance(
    llama_client: Client, tiny: Client, data: Path, key_file: Path, tmp_path: Path
) -> None:
    keys = ["--key-file", f"{llama_client.url}={key_file}", "--key-file", f"{tiny.url}={key_file}"]
    pair = ["--a", llama_client.url, "--b", tiny.url]
    assert main(["all", *pair, *keys, "--only", "road", "--data", str(data), "--out", str(tmp_path), *FEW]) == 0
    bench, decision = read(tmp_path, "bench"), read(tmp_path, "decision")
    assert [side["backend"] for side in bench["sides"]] == ["remote", "remote"]
    assert [side["better_than_chance"] for side in bench["sides"]] == [False, False]
    assert all(side["resident_mib"] > 20 for side in bench["sides"]), "found by the ports on which they listen"
    times = {one["name"]: one for one in bench["measures"]}
    assert all(times["verdict_p50_ms"][side]["value"] > 0 for side in "ab")
    assert all(times["first_token_p50_ms"][side]["value"] > 0 for side in "ab")
    assert all(one["a"]["value"] > 0 for one in bench["crowds"])  # llama-server answers noise with 500 now and then
    assert decision["answer"] == "not yet" and decision["reasons"][0] == "neither may be driven with"
    page = (tmp_path / "report.html").read_text()
    assert f"{bench['sides'][0]['name']} answers no question better than chance" in page


def test_a_server_is_started_measured_and_ended(tiny_folder: Path, data: Path, tmp_path: Path) -> None:
    import socket
    import sys

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    start = f"{sys.executable} -m duck_protection.server --model {tiny_folder} --device cpu --port {port}"
    pair = ["--a", url, "--a-start", start, "--b", str(tiny_folder), "--device", "cpu"]
    assert main(["bench", *pair, "--data", str(data), "--out", str(tmp_path), *FEW]) == 0
    for side in read(tmp_path, "bench")["sides"]:
        assert side["start_s"] > 0.5 and side["resident_mib"] > 100
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0


def test_a_wrong_key_is_one_sentence(
    tiny: Client, tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--data", str(data), "--out", str(tmp_path), *FEW]
    wrong = tmp_path / "key"
    wrong.write_text("wrong-horse-battery")
    assert main(["bench", "--a", tiny.url, "--b", str(tiny_folder), "--key-file", f"{tiny.url}={wrong}", *more]) == 1
    assert "refuses the key" in capsys.readouterr().err
