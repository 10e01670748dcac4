"""Fine-tuning: whole and through LoRA adapters, from a checkpoint's folder to one that the engine loads."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import poisoned, saved, tiny_model, tiny_tokenizer

from duck_protection.learning import lessons, photographs
from duck_protection.learning.dataset import load
from duck_protection.learning.finetune import main, ship, start
from duck_protection.learning.lesson_batches import IGNORED
from duck_protection.learning.training import Plan
from duck_protection.learning.tuning import How, Tuning, load_adapters
from duck_protection.learning.tuning_batches import TuningBatches
from duck_protection.question import Choice, Question
from duck_protection.verdict import Level
from duck_protection.vlm import chatml
from duck_protection.vlm.checkpoints import Checkpoint, load_checkpoint
from duck_protection.vlm.fastvlm import FastVlm

CHOICES = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
QUESTION = Question("road", 1, "Is a duck near?", CHOICES)
PLAN = Plan(steps=20, batch=8, peak_rate=5e-3, warm_up=2, weight_decay=0.0, check_every=10, check_frames=16,
            compile_tower=False)  # fmt: skip
WAYS = (How(), How(rank=4))


def drawn(danger: bool, rng: np.random.Generator) -> np.ndarray:
    """Noise, with a yellow block below the middle where there is danger."""
    picture = rng.integers(0, 60, (96, 128, 3), dtype=np.uint8)
    if danger:
        picture[50:90, 40:90] = (240, 210, 20)
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, rendered frames, and photographs of three robots."""
    made, rng = tmp_path_factory.mktemp("tuning"), np.random.default_rng(2)
    saved(tiny_model(tiny_tokenizer(QUESTION)), tiny_tokenizer(QUESTION), QUESTION, made / "model")
    pictures = [drawn(n % 2 == 0, rng) for n in range(48)]
    duck = {"along_m": 0.2, "offset_m": 0.0}
    frames = [{"level": "CLEAR" if n % 2 else "STOP", "ducks": [] if n % 2 else [duck], "map": f"t{n // 4}"}
              for n in range(48)]  # fmt: skip
    write(made / "rendered", pictures, frames)
    robots = [{"robot": "abc"[n // 40], "lane_label": "off_road" if n % 2 else "own_lane", "split": "train"}
              for n in range(120)]  # fmt: skip
    write(made / "photographs", [drawn(n % 2 == 0, rng) for n in range(120)], robots)
    return made


def write(folder: Path, pictures: List[np.ndarray], labels: List[dict]) -> None:
    folder.mkdir()
    lines = [{"file": f"{n:03d}.png", **label} for n, label in enumerate(labels)]
    for line, picture in zip(lines, pictures):
        Image.fromarray(picture).save(folder / line["file"])
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def batches_of(folder: Path, checkpoint: Checkpoint, seed: int = 1) -> TuningBatches:
    rendered, seen = load(folder / "rendered"), photographs.taught(folder / "photographs")
    return TuningBatches(rendered, seen, QUESTION, checkpoint.tokenizer, checkpoint.side_px,
                         checkpoint.image_tokens, PLAN.batch, seed)  # fmt: skip


def tuning_of(folder: Path, how: How) -> Any:
    checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
    return checkpoint, Tuning(checkpoint, batches_of(folder, checkpoint), PLAN, how)


@pytest.mark.parametrize("how", WAYS, ids=["whole", "lora"])
def test_the_loss_falls_and_what_is_not_trained_keeps_its_bits(folder: Path, how: How) -> None:
    _, tuning = tuning_of(folder, how)
    before = {name: value.clone() for name, value in tuning.model.named_parameters()}
    losses = [tuning.advance() for _ in range(PLAN.steps)]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    changed = {name for name, value in tuning.model.named_parameters() if not torch.equal(value, before[name])}
    tower = {name for name in changed if ".vision_tower." in name}
    if how.rank:
        assert changed and all("lora_" in name for name in changed)
    else:
        assert tower and not any(".stem." in name or ".stages.0." in name or ".stages.1." in name for name in tower)


def test_adapters_learn_the_same_without_keeping_what_the_text_model_computes(folder: Path) -> None:
    """All of it was kept for the way back: no room for a larger model beside a useful batch."""
    kept, losses, weights = [], [], []

    def count(one: torch.Tensor) -> torch.Tensor:
        kept[-1] += one.numel()
        return one

    for again in (True, False):
        _, tuning = tuning_of(folder, How(rank=4))
        text = tuning.model.model.language_model
        assert text.training
        text.train(again)
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda one: one):
            losses.append([tuning.advance() for _ in range(3)])
        weights.append(torch.cat([one.flatten() for one in tuning.state()["trained"].values()]))
    assert losses[0] == losses[1] and torch.equal(*weights)
    assert kept[0] < kept[1] / 2


def test_a_compiled_tower_teaches_the_same(folder: Path) -> None:
    """The first steps of both; what compiling rounds differently is small beside what a step changes."""
    losses = []
    for compiled in (False, True):
        checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
        plan = replace(PLAN, compile_tower=compiled)
        tuning = Tuning(checkpoint, batches_of(folder, checkpoint), plan, How())
        losses.append([tuning.advance() for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("how", WAYS, ids=["whole", "lora"])
def test_an_interrupted_tuning_goes_on_as_if_nothing_had_happened(folder: Path, how: How, tmp_path: Path) -> None:
    _, whole = tuning_of(folder, how)
    expected = [whole.advance() for _ in range(4)]
    _, first = tuning_of(folder, how)
    assert [first.advance() for _ in range(2)] == expected[:2]
    torch.save(first.state(), tmp_path / "state.pt")
    _, second = tuning_of(folder, how)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [second.advance() for _ in range(2)] == expected[2:]
    _, other = tuning_of(folder, replace(how, rank=4 - how.rank))
    with pytest.raises(ValueError, match="another tuning"):
        other.restore(torch.load(tmp_path / "state.pt", weights_only=True))


def said(model: Path, picture: np.ndarray) -> Any:
    return FastVlm(str(model), "cpu").choose([picture], [QUESTION])[0].probabilities


def test_adapters_are_saved_loaded_and_merged_to_the_same_model(folder: Path, tmp_path: Path) -> None:
    checkpoint, tuning = tuning_of(folder, How(rank=4))
    for _ in range(6):
        tuning.advance()
    tuning.save_adapters(tmp_path / "adapters")
    assert (tmp_path / "adapters" / "adapter_model.safetensors").exists()
    ship(tuning, checkpoint, QUESTION, tmp_path / "merged", photographs.taught(folder / "photographs"))
    fresh = load_checkpoint(str(folder / "model"), "cpu", "float32")
    loaded = load_adapters(fresh, tmp_path / "adapters")
    assert not [name for name, _ in loaded.named_parameters() if "lora_" in name]
    picture = drawn(True, np.random.default_rng(9))
    again = FastVlm.of(replace(fresh, model=loaded)).choose([picture], [QUESTION])[0].probabilities
    assert said(tmp_path / "merged", picture) == pytest.approx(again, abs=1e-5)
    assert said(folder / "model", picture) != pytest.approx(again, abs=1e-3)
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "LoRA adapters of rank 4" in card and "no commercial use" in card and "robots a, b, c" in card


def test_a_tuned_models_card_tells_of_frames_that_duckietowns_files_painted(folder: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
    frames = load(folder / "rendered")
    for name, assets in (("ours", ""), ("theirs", "photos")):
        rendered = replace(frames, labels=[*frames.labels[:-1], {**frames.labels[-1], "assets": assets}])
        batches = TuningBatches(rendered, None, QUESTION, checkpoint.tokenizer, checkpoint.side_px,
                                checkpoint.image_tokens, PLAN.batch, 1)  # fmt: skip
        ship(Tuning(checkpoint, batches, PLAN, How()), checkpoint, QUESTION, tmp_path / name, None)
        assert ("no commercial use" in (tmp_path / name / "README.md").read_text()) == bool(assets)


def test_a_batch_is_half_photographs_half_of_them_dangers_and_none_kept_back(folder: Path) -> None:
    checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
    one, same, other = (batches_of(folder, checkpoint, seed).at(3) for seed in (1, 1, 2))
    assert torch.equal(one.driving.pixels, same.driving.pixels)
    assert not torch.equal(one.driving.pixels, other.driving.pixels)
    assert one.driving.pixels.shape == (8, 3, 128, 128) and len(one.free.pixels) == 4
    assert (one.choices[4:, 0] == 0).sum() == 2  # own_lane is never CLEAR
    seen = photographs.taught(folder / "photographs")
    batches = batches_of(folder, checkpoint)
    pools = np.concatenate(batches._pools)
    assert not set(pools) & set(seen.validation()) and len(seen.validation())
    names = [name for name, _, _ in batches.validation(8)]
    assert set(names) == {"rendered", "photographs"}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("beside", [True, False], ids=["beside_rendered", "alone"])
def test_a_small_batch_has_as_many_dangers_among_its_photographs_or_is_refused(
    folder: Path, size: int, beside: bool
) -> None:
    """With 2 or 3 pictures a batch every photograph of the whole tuning was a safe one; with 1 there was none."""
    checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
    rendered, seen = load(folder / "rendered") if beside else None, photographs.taught(folder / "photographs")
    told = (rendered, seen, QUESTION, checkpoint.tokenizer, checkpoint.side_px, checkpoint.image_tokens, size, 1)
    if size == 1:
        with pytest.raises(ValueError, match="at least 2 pictures"):
            TuningBatches(*told)
        return
    batches = TuningBatches(*told)
    first = size - size // 2 if beside else 0  # photographs come after the rendered frames
    safe = [bool(row[0] > 0) for step in range(50) for row in batches.at(step).choices[first:]]
    assert len(safe) >= 50 and sum(safe) <= len(safe) / 2


def answers(folder: Path, lora: int) -> List[List[int]]:
    """The tokens of the free answers of 64 batches, as the command makes them."""
    args = argparse.Namespace(
        start_from=str(folder / "model"), device="cpu", data=[folder / "rendered"], batch=4, seed=1, steps=64,
        peak_rate=1e-3, lora=lora, frozen_stages=2,
    )  # fmt: skip
    _, tuning = start(args, QUESTION, None)
    batches = (tuning.batches.at(step).free.targets for step in range(64))
    return [row[row != IGNORED].tolist() for targets in batches for row in targets]


def test_adapters_are_not_taught_to_refuse(folder: Path) -> None:
    """The duckling knows nothing else; a FastVLM that answers anything learnt that it was not trained for that."""
    refusal = chatml.plain_ids(tiny_tokenizer(QUESTION), lessons.NOT_TRAINED)
    refused = [sum(said[:-1] == refusal for said in answers(folder, lora)) for lora in (0, 4)]
    assert refused == [64 // 8 * 4, 0]


def test_photographs_of_one_kind_alone_are_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "safe", [drawn(False, np.random.default_rng(1))] * 4, [{"lane_label": "none"}] * 4)
    checkpoint = load_checkpoint(str(folder / "model"), "cpu", "float32")
    with pytest.raises(ValueError, match="with a duck in the lane and some without"):
        TuningBatches(None, photographs.taught(tmp_path / "safe"), QUESTION, checkpoint.tokenizer, 128, 4, 8, 1)


def command(folder: Path, tmp_path: Path) -> List[str]:
    (tmp_path / "questions.yaml").write_text(
        'road: {version: 1, prompt: "Is a duck near?", choices: {Clear: CLEAR, Slow: SLOW, Stop: STOP}}\n'
    )
    return ["--from", str(folder / "model"), "--photographs", str(folder / "photographs"), "--data",
            str(folder / "rendered"), "--steps", "4", "--batch", "8", "--questions", str(tmp_path / "questions.yaml"),
            "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--device", "cpu"]  # fmt: skip


def test_the_command_leaves_a_model_that_the_engine_loads(folder: Path, tmp_path: Path) -> None:
    assert main([*command(folder, tmp_path), "--robots", "a", "c"]) == 0
    assert sum(said(tmp_path / "out", drawn(True, np.random.default_rng(4)))) == pytest.approx(1, abs=1e-5)
    assert "robots a, c)" in (tmp_path / "out" / "README.md").read_text()
    curve = json.loads((tmp_path / "work" / "curve.json").read_text())["curve"]
    assert curve[-1]["step"] == 4 and {"rendered_right", "photographs_right"} <= set(curve[-1])


@pytest.mark.parametrize(
    ("option", "value"),
    [("--from", "{made}/other"), ("--data", "{made}/fewer"), ("--seed", "2"), ("--steps", "8"), ("--lora", "4"),
     ("--frozen-stages", "1"), ("--robots", "a")],
)  # fmt: skip
def test_a_tuning_is_not_resumed_as_another_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """out/tuning/state.pt is every tuning's: `--from NEW --resume` shipped the old one under the new name."""
    rendered = load(folder / "rendered")
    other = poisoned(tiny_model(tiny_tokenizer(QUESTION)), 1.5)
    saved(other, tiny_tokenizer(QUESTION), QUESTION, tmp_path / "other")
    frames = [{**label, "file": str(file)} for file, label in zip(rendered.files, rendered.labels)]
    (tmp_path / "fewer").mkdir()
    (tmp_path / "fewer" / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in frames[4:]))
    assert main(command(folder, tmp_path)) == 0
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    capsys.readouterr()
    assert main([*command(folder, tmp_path), "--resume", option, value.format(made=tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("train: ") and "state.pt is of another run (other " in error and error.count("\n") == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before
    assert main([*command(folder, tmp_path), "--resume"]) == 0


def test_a_folder_that_holds_no_model_is_refused_before_anything_is_tuned(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dear.txt").write_text("mine")
    assert main(command(folder, tmp_path)) == 1
    assert "no model's folder" in capsys.readouterr().err
    assert (tmp_path / "out" / "dear.txt").exists() and not (tmp_path / "work" / "state.pt").exists()


def test_cross_validation_holds_out_every_robot_once(folder: Path, tmp_path: Path) -> None:
    assert main([*command(folder, tmp_path), "--cross-validate"]) == 0
    found = json.loads((tmp_path / "work" / "cross_validation.json").read_text())
    assert [(fold["robot"], fold["trained_on"], fold["n"]) for fold in found["folds"]] == [
        ("a", ["b", "c"], 40), ("b", ["a", "c"], 40), ("c", ["a", "b"], 40),
    ]  # fmt: skip
    assert found["together"]["danger_recall"]["of"] == found["together"]["false_stop_frames"]["of"] == 60


def test_a_wrong_model_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", str(tmp_path / "none"), "--work", str(tmp_path / "work"), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith("train: ")
