"""What benchmarks share and decide by themselves; measuring is theirs alone and is asserted nowhere."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from duck_protection.frames import decode
from duck_protection.learning.thin import STRIDE_PX
from duck_protection.question import questions_from
from duck_protection.recording.results import envelope
from duck_protection.verdict import Identity, Reply

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import comparison  # noqa: E402
import gpu  # noqa: E402
import gpu_ways  # noqa: E402
import pictures  # noqa: E402
import quantising  # noqa: E402
import shadow  # noqa: E402
import showing  # noqa: E402
import sizes  # noqa: E402
from shapes import random_fastvlm  # noqa: E402

from duck_protection.vlm.checkpoints import Checkpoint  # noqa: E402


def test_a_comparison_that_fails_reads_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    """There are no labels, so ./run compare fails; the earlier run's files would have become today's result."""
    measure = {"name": "verdict_p95_ms", "a": {"value": 1.0}, "b": {"value": 2.0}}
    (tmp_path / "decision.json").write_text(json.dumps({"answer": "migrate"}))
    (tmp_path / "bench.json").write_text(json.dumps({"measures": [measure], "sides": []}))
    with pytest.raises(SystemExit, match="compare failed, nothing read"):
        comparison.against_ours(tmp_path, ["--data", str(tmp_path)])


def test_a_shortcut_that_turns_stop_into_slow_is_noticed() -> None:
    """Only CLEAR against not CLEAR was compared: "Stop" read as "Slow" counted as the same level."""
    stop, slow, clear = (Reply(said, 0.0, "", Identity("m", "r", "d", "b"))
                         for said in ((0.1, 0.2, 0.7), (0.1, 0.7, 0.2), (0.8, 0.1, 0.1)))  # fmt: skip
    assert gpu_ways.likeliest([clear, slow, stop]) == [0, 1, 2]
    assert gpu_ways.likeliest([stop]) != gpu_ways.likeliest([slow])


@pytest.mark.filterwarnings("ignore")  # bitsandbytes warns of its casts
def test_the_gpus_benchmark_runs_to_its_end_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A borrowed card may be had once: every line but CUDA's own is walked here, with fixed memory for its graphs."""
    files = {"json": tmp_path / "json", "picture": tmp_path / "all.png", "profile": tmp_path / "profile"}
    arguments = ["--rehearse", "--rounds", "1", "--tokens", "3", *(f"--{name}={file}" for name, file in files.items())]
    assert gpu.main([*arguments]) == 0
    result, said = json.loads(files["json"].read_text()), capsys.readouterr().out
    assert all(set(row) >= {"way", "p50_ms", "p95_ms", "peak_gb", "roofline_share"} for row in result["ways"])
    ways = [row["way"] for row in result["ways"]]
    for one in ("guide: generate, 3 tokens", "generate, 1 token", "engine, eager", "engine, graphs, all, batch of 16",
                "engine, second question on a frame", "engine, 4bit", "engine, 8bit"):  # fmt: skip
        assert one in ways or one in result["not_measured"]
    assert "engine, 4bit" in ways or "bitsandbytes" in result["not_measured"]["engine, 4bit"]
    assert result["not_measured"]["engine, fp8"].startswith("needs ") and "engine, fp8: needs " in said
    assert result["max_probability_difference"] < 0.01
    assert result["speedup_over_guide"] > 0 and result["whole_p50_ms"] > 0
    assert files["picture"].stat().st_size > 0 and "Self CPU" in files["profile"].read_text()


def test_a_way_that_fails_is_named_and_stops_no_other() -> None:
    """The second model does not fit: quantised ways have no weights, and the goals say what is missing."""
    made: list[Checkpoint] = []

    def fresh() -> Checkpoint:
        if made:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        made.append(random_fastvlm("tiny", "cpu", "bfloat16"))
        return made[0]

    run = gpu_ways.Run(fresh, 1, rehearsal=True)
    for dtype in ("4bit", "8bit"):
        run._quantised(dtype, compiled=False)
        reason = quantising.cannot(dtype, torch.device("cpu")) or "OutOfMemoryError: CUDA out of memory."
        assert run.not_measured[f"engine, {dtype}"] == reason
    found = gpu.numbers(run, 3)
    assert found["speedup_over_guide"] is found["4bit_peak_gb"] is None
    assert "speedup_over_guide                        -  at least 20: not measured" in gpu.goals(found)


def test_a_shadows_cost_is_drawn_over_turns_that_met_the_same() -> None:
    """A turn in which the machine was busy slows both: the difference stays what it is."""
    chance, turns = np.random.default_rng(4), [turn for turn in range(10) for _ in range(20)]
    busy = np.array([40.0 * (turn % 5 == 0) for turn in turns])
    alone, shown = (
        SimpleNamespace(shadow=kind, ms=list(20 + later + busy + chance.normal(0, 0.5, 200)), turns=turns, read=read)
        for kind, later, read in ((shadow.NONE, 0.0, 0), (shadow.SERVER, 3.0, 199))
    )
    row = shadow.row(shown, alone)  # type: ignore[arg-type]
    assert "later_p50_ms" not in shadow.row(alone, alone)  # type: ignore[arg-type]
    later = row["later_p50_ms"]
    assert 2.5 < later["low"] < 3 < later["high"] < 3.5 and row["shadow_read"] == 199
    shown_table = shadow.table({**envelope("shadow/1"), "shadow": [shadow.row(alone, alone), row], "turns": 10,
                                "machine_busy_share": 0.5})  # fmt: skip
    assert "a server elsewhere" in shown_table and max(map(len, shown_table.splitlines())) <= 120


def test_every_picture_is_another_one_of_a_robots_size() -> None:
    made = pictures.noisy(1, 5)
    assert made == pictures.noisy.__wrapped__(1, 5) and len({*made, *pictures.noisy(2, 5)}) == 10
    assert all(decode(one).shape == (480, 640, 3) for one in made)
    assert all(abs(len(one) - 98_000) < 9_800 for one in made)
    assert abs(len(pictures.noisy(1, 1, 62_000)[0]) - 62_000) < 6_200


def test_what_is_asked_is_what_the_robot_drives_by() -> None:
    assert questions_from(yaml.safe_load((ROOT / "config" / "questions.yaml").read_text()))["road"] == pictures.ROAD
    assert gpu_ways.SECOND.choices == pictures.ROAD.choices and gpu_ways.SECOND.prompt != pictures.ROAD.prompt


def test_what_is_told_is_also_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = envelope("some/1", p50_ms=2.5)
    showing.tell(result, showing.heading(result), tmp_path / "deep" / "some.json")
    said = capsys.readouterr().out
    assert said.startswith("some/1 at ") and f"{result['host']['cores']} cores" in said and result["date"] in said
    assert json.loads((tmp_path / "deep" / "some.json").read_text()) == result
    showing.tell(result, "nothing is written", None)


def test_the_curve_of_sizes_is_measured_on_what_training_kept_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, duckling = tmp_path / "data", ROOT / "models" / "duckling"
    (data / "frames").mkdir(parents=True)
    frames = np.random.default_rng(3).integers(0, 255, (24, 288, 384, 3), dtype=np.uint8)
    labels = []
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(data / f"frames/{number}.jpg")
        level, ducks = ("STOP", [{"along_m": 0.2, "offset_m": 0.0}]) if number % 2 else ("CLEAR", [])
        labels.append({"file": f"frames/{number}.jpg", "map": f"town {number // 2}", "level": level, "ducks": ducks})
    (data / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in labels))
    question = questions_from(yaml.safe_load((ROOT / "config" / "questions.yaml").read_text()))["road"]
    row = sizes.measure(duckling, [data], question)
    assert (row["counts"]["right"]["of"], row["counts"]["stop_recall"]["of"]) == (2, 1)
    asked = []

    def learnt(name: str, size: Any, *_: Any) -> Any:
        asked.append(size)
        return {"size": name, "side_px": size.side_px, "layers": size.layers, "parameters": 2e6,
                "validation_loss": 0.2, "folder": str(duckling), **row}  # fmt: skip

    monkeypatch.setattr(sizes, "learn", learnt)
    files = ["--json", str(tmp_path / "json"), "--picture", str(tmp_path / "curve.png")]
    sizes.main(["--data", str(data), "--model", str(duckling), *files])
    base = sizes.base_of(duckling)
    deeper = replace(base, layers=tuple(n + n // 2 for n in base.layers))
    coarser, finer = asked[0].side_px, asked[2].side_px
    assert asked == [replace(base, side_px=coarser), base, replace(base, side_px=finer), deeper]
    assert coarser < base.side_px < finer and coarser % STRIDE_PX == finer % STRIDE_PX == 0
    told, shown = json.loads((tmp_path / "json").read_text()), capsys.readouterr().out
    assert [one["size"] for one in told["sizes"]] == [
        "coarser picture", "as it is", "finer picture", "deeper tower"]  # fmt: skip
    assert max(map(len, shown.splitlines()[:8])) <= 100 and (tmp_path / "curve.png").stat().st_size > 5000
