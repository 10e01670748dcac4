"""A training learns, can be interrupted, and leaves a model that the engine loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Iterable

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny import SIZES

from duck_protection.corridor import true_level
from duck_protection.frames import decode
from duck_protection.learning import augment as augmenting
from duck_protection.learning import lessons
from duck_protection.learning.augment import augment, to_square
from duck_protection.learning.dataset import FrameSet, load, mirrored, near_limit, soft_targets
from duck_protection.learning.reading import choice_logits, leak_loss
from duck_protection.learning.shipping import save_model
from duck_protection.learning.thin import thin_config
from duck_protection.learning.tokenizer import make_tokenizer
from duck_protection.learning.train import main, train
from duck_protection.learning.training import Plan, Training
from duck_protection.learning.waking import wake
from duck_protection.question import Choice, Question, questions_from
from duck_protection.verdict import Level
from duck_protection.vlm.fastvlm import FastVlm

CHOICES = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
QUESTION = Question("road", 1, "Is a duck near?", CHOICES)
PLAN = Plan(
    steps=4, batch=4, peak_rate=2e-3, warm_up=1, check_every=2, check_frames=4, sizes=SIZES, compile_tower=False
)


def label(along_m: float, offset_m: float = 0.0) -> dict[str, Any]:
    row = 480 * (1 - along_m / 1.5)
    box = [250, max(0, row), 390, min(480, row + 80)]
    duck = {"along_m": along_m, "offset_m": offset_m, "left_m": offset_m, "box": box}
    level = "STOP" if along_m < 0.45 else "SLOW" if along_m < 1.0 else "CLEAR"
    return {"level": level, "ducks": [duck], "file": "none", "map": "town", "d_m": 0.01, "phi_rad": 0.1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve looks of twenty pictures: noise, with a yellow block the lower the nearer its duck."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 90, (240, 96, 128, 3), dtype=np.uint8)
    distances = rng.uniform(0.1, 1.4, 240)
    for picture, along_m in zip(pictures, distances):
        row = int(80 * (1 - along_m / 1.5))
        picture[row : row + 16, 50:78] = (240, 210, 20)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    lines = [
        json.dumps({**label(float(at)), "file": f"{n}.png", "map": f"town {n // 20}"}) for n, at in enumerate(distances)
    ]
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def pictures_of(data: Path, numbers: Iterable[int]) -> list[np.ndarray]:
    return [decode((data / f"{number}.png").read_bytes()) for number in numbers]


def losses(training: Training, steps: int) -> list[float]:
    return [training.advance() for _ in range(steps)]


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    whole = Training([data], QUESTION, PLAN)
    expected = losses(whole, 4)
    first = Training([data], QUESTION, PLAN)
    assert losses(first, 2) == expected[:2]
    torch.save(first.state(), tmp_path / "state.pt")
    second = Training([data], QUESTION, PLAN)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert losses(second, 2) == expected[2:]
    assert all(torch.equal(a, b) for a, b in zip(whole.average.parameters(), second.average.parameters()))


def test_a_training_leaves_a_model_that_the_engine_loads_and_a_curve(data: Path, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "duckling"
    work.mkdir()
    training = train([data], out, work, QUESTION, PLAN)
    curve = json.loads((work / "curve.json").read_text())
    assert [row["step"] for row in curve] == [2, 4]
    assert (work / "curve.png").stat().st_size > 1000
    assert not list(out.glob("*.bin")) and not list(out.glob("*.pt"))
    reply = FastVlm(str(out), "cpu").choose(pictures_of(data, [3]), [QUESTION])[0]
    assert sum(reply.probabilities) == pytest.approx(1, abs=1e-5)
    again = train([data], out, work, QUESTION, replace(PLAN, steps=4), resume=True)
    assert again.step == training.step == 4


def test_a_training_killed_while_it_ships_its_best_model_ships_it_when_it_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state was written first, and knew the best model as shipped: it never was."""
    for work in ("whole", "killed"):
        (tmp_path / work).mkdir()
    whole = train([data], tmp_path / "expected", tmp_path / "whole", QUESTION, PLAN)
    assert min(whole.curve, key=lambda row: row["validation_loss"])["step"] == 4
    ships = []

    def killed_at_the_last(*arguments: Any) -> None:
        ships.append(arguments)
        if len(ships) == 2:
            raise KeyboardInterrupt
        save_model(*arguments)

    out = tmp_path / "model"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("duck_protection.learning.train.save_model", killed_at_the_last)
        train([data], out, tmp_path / "killed", QUESTION, PLAN)
    train([data], out, tmp_path / "killed", QUESTION, PLAN, resume=True)
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "expected" / "model.safetensors").read_bytes()


def test_a_kill_between_the_old_model_and_the_new_one_leaves_both(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old model was deleted before the new one had its place."""
    training, out = Training([data], QUESTION, PLAN), tmp_path / "model"
    told = (training.model, training.tokenizer, QUESTION, asdict(PLAN), {"step": 1, "right": 0, "stop_said_clear": 0})
    save_model(*told, out)
    rename = Path.replace

    def kill_before(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", kill_before)
        save_model(*told, out)
    assert len([folder for folder in tmp_path.iterdir() if (folder / "README.md").exists()]) == 2
    save_model(*told, out)
    save_model(*told, out)
    assert [folder.name for folder in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_holds_no_model_is_never_replaced_and_no_step_is_trained_for_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--out models` deleted every model there."""
    models, work = tmp_path / "models", tmp_path / "work"
    (models / "duckling").mkdir(parents=True)
    (models / "duckling" / "config.json").write_text("{}")
    assert main(["--data", str(data), "--out", str(models), "--work", str(work)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("train: ") and "no model's folder" in error and error.count("\n") == 1
    assert (models / "duckling" / "config.json").exists() and not list(work.iterdir())
    training = Training([data], QUESTION, PLAN)
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "empty"):  # an empty folder may become a model, and a model another one
        save_model(training.model, training.tokenizer, QUESTION, asdict(PLAN),
                   {"step": 1, "right": 0, "stop_said_clear": 0}, out)  # fmt: skip
    with pytest.raises(ValueError, match="no model's folder"):
        save_model(training.model, training.tokenizer, QUESTION, asdict(PLAN), {}, models)


@pytest.mark.parametrize("what", ["seed", "steps", "peak_rate", "question", "data", "start"])
def test_a_training_is_not_resumed_as_another_one(data: Path, tmp_path: Path, what: str) -> None:
    """Another seed, other steps or other data went on from the old state as if they were its own."""
    out, work = tmp_path / "model", tmp_path / "work"
    work.mkdir()
    told: dict[str, Any] = {"data": [data], "question": QUESTION, "plan": PLAN, "start": None}
    changes = {
        "seed": {"plan": replace(PLAN, seed=2)}, "steps": {"plan": replace(PLAN, steps=6)},
        "peak_rate": {"plan": replace(PLAN, peak_rate=1e-3)}, "question": {"question": replace(QUESTION, version=2)},
        "data": {"data": [data, data]}, "start": {"start": out},
    }  # fmt: skip
    train(**told, out=out, work=work)
    train(**{**told, "plan": replace(PLAN, compile_tower=True)}, out=out, work=work, resume=True)  # nothing left to do
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    with pytest.raises(ValueError, match=rf"state\.pt is of another run \(other {what}\)"):
        train(**{**told, **changes[what]}, out=out, work=work, resume=True)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


def test_a_state_from_before_plans_were_kept_may_still_be_gone_on_with_and_begun_with(
    data: Path, tmp_path: Path
) -> None:
    first = Training([data], QUESTION, PLAN)
    losses(first, 2)
    for work in ("first", "second"):
        (tmp_path / work).mkdir()
    torch.save(first.state(), tmp_path / "first" / "state.pt")
    assert "plan" not in first.state()
    assert train([data], tmp_path / "out", tmp_path / "first", QUESTION, PLAN, resume=True).curve[0]["step"] == 4
    stay = replace(PLAN, steps=1, seed=9, peak_rate=0.0, weight_decay=0.0)
    torch.save(first.state(), tmp_path / "old.pt")
    begun = train([data], tmp_path / "out", tmp_path / "second", QUESTION, stay, start=tmp_path / "old.pt")
    assert all(torch.equal(own, old) for own, old in zip(begun.model.parameters(), first.model.parameters()))


def test_a_training_reads_a_picture_as_the_engine_does(data: Path, tmp_path: Path) -> None:
    training = Training([data], QUESTION, PLAN)
    losses(training, 2)
    training.model.eval()
    measured = {"step": 2, "right": 0.0, "stop_said_clear": 0}
    save_model(training.model, training.tokenizer, QUESTION, asdict(PLAN), measured, tmp_path / "duckling")
    (batch, _), *_ = training.batches.validation(4)
    with torch.no_grad():
        logits = choice_logits(training.model, batch)[:, training.batches.word_ids]
    numbers = load(data).validation()[::5]
    replies = FastVlm(str(tmp_path / "duckling"), "cpu").choose(pictures_of(data, numbers), [QUESTION] * 4)
    for row, reply in zip(logits, replies):
        assert reply.probabilities == pytest.approx(row.softmax(-1).tolist(), abs=1e-4)


@pytest.mark.parametrize("painted", [False, True])
def test_a_card_tells_of_frames_that_duckietowns_files_painted(data: Path, tmp_path: Path, painted: bool) -> None:
    made = tmp_path / "made"
    shutil.copytree(data, made)
    labels = [json.loads(line) for line in (data / "labels.jsonl").read_text().splitlines()]
    if painted:
        labels[3]["assets"] = "photos"
    (made / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in labels))
    (tmp_path / "work").mkdir()
    train([made], tmp_path / "duckling", tmp_path / "work", QUESTION, replace(PLAN, steps=2))
    card = (tmp_path / "duckling" / "README.md").read_text()
    assert ("no commercial use" in card, "Licence: MIT" in card) == (painted, not painted)


def test_a_training_may_begin_with_anothers_weights_and_nothing_else_of_it(data: Path) -> None:
    first = Training([data], QUESTION, PLAN)
    losses(first, 2)
    other = replace(PLAN, seed=PLAN.seed + 1)
    before = list(Training([data], QUESTION, other).model.parameters())
    second = Training([data], QUESTION, other, first.state())
    pairs = list(zip(second.model.parameters(), first.model.parameters()))
    assert all(torch.equal(own, others) for own, others in pairs)
    assert not all(torch.equal(own, old) for (own, _), old in zip(pairs, before))
    assert second.step == 0 and second.curve == [] and not second.optimizer.state


def test_blocks_that_a_trained_tower_is_given_disturb_nothing_and_learn(data: Path) -> None:
    first = Training([data], QUESTION, PLAN)
    losses(first, 2)
    more = replace(PLAN, sizes=replace(SIZES, layers=(1, 2, 1, 2, 1)))
    second = Training([data], QUESTION, more, first.state())
    with torch.no_grad():
        said = [choice_logits(one.model.eval(), first.batches.at(0)) for one in (first, second)]
    assert torch.allclose(*said, atol=0.05)
    added = second.model.get_submodule("model.vision_tower.timm_model.stages.3.blocks.1.layer_scale_2").gamma
    before = added.detach().clone()
    losses(second, 2)
    assert not torch.allclose(added, before)


def test_added_blocks_are_drawn_in_one_order_whatever_the_process(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were drawn in a set's order, which changes from process to process: the same seed gave other weights."""
    drawn: list[Any] = []
    monkeypatch.setattr("duck_protection.learning.training.add_block", drawn.append)
    more = replace(PLAN, sizes=replace(SIZES, layers=(2, 2, 2, 2, 2)))
    training = Training([data], QUESTION, more, Training([data], QUESTION, PLAN).state())
    stages = training.model.model.vision_tower.timm_model.stages
    assert len(drawn) == 5 and all(block is stage.blocks[1] for block, stage in zip(drawn, stages))


def test_a_state_that_lacks_more_than_blocks_is_refused(data: Path) -> None:
    wider = replace(PLAN, sizes=replace(SIZES, text_layers=SIZES.text_layers + 1))
    with pytest.raises(ValueError, match=r"another model's: it has no .*layers"):
        Training([data], QUESTION, wider, Training([data], QUESTION, PLAN).state())


def test_a_stop_that_is_read_as_clear_costs_besides() -> None:
    logits = torch.tensor([[8.0, 0.0, 1.0, -2.0], [0.0, 0.0, 6.0, 0.0]])
    assert float(leak_loss(logits, torch.zeros(2), 0)) == 0
    clear = logits.softmax(-1)[:, 0]
    assert float(leak_loss(logits, torch.ones(2), 0)) == pytest.approx(float(-torch.log(1 - clear).mean()), rel=1e-4)
    leak_loss(logits.requires_grad_(), torch.tensor([1.0, 0.0]), 0).backward()
    assert logits.grad is not None and logits.grad[0, 0] > 0.4 and not logits.grad[1].any()


def test_a_training_may_begin_with_a_models_folder(data: Path, tmp_path: Path) -> None:
    for work in ("first", "second"):
        (tmp_path / work).mkdir()
    first = train([data], tmp_path / "model", tmp_path / "first", QUESTION, PLAN)
    plan = replace(PLAN, steps=1, peak_rate=0.0, weight_decay=0.0)  # it stays where it begins
    second = train([data], tmp_path / "out", tmp_path / "second", QUESTION, plan, start=tmp_path / "model")
    pairs = zip(second.model.parameters(), first.average.module.parameters())
    assert min(row["step"] for row in first.curve if row["validation_loss"] == first.curve[-1]["validation_loss"]) == 4
    assert all(torch.equal(own, others) for own, others in pairs)


def test_the_card_of_a_model_that_began_with_another_names_it(data: Path, tmp_path: Path) -> None:
    for work in ("first", "second"):
        (tmp_path / work).mkdir()
    train([data], tmp_path / "model", tmp_path / "first", QUESTION, PLAN)
    train([data], tmp_path / "out", tmp_path / "second", QUESTION, PLAN, start=tmp_path / "model")
    assert "began with" not in (tmp_path / "model" / "README.md").read_text()
    assert "It began with the weights of model, and the terms" in (tmp_path / "out" / "README.md").read_text()


def test_answers_do_not_speak_of_specks() -> None:
    near, speck = {**label(0.5)["ducks"][0], "pixels": 900}, {**label(1.2)["ducks"][0], "pixels": lessons.SPOKEN_PX - 1}
    assert lessons.answer("count", {"ducks": [near, speck]}) == "1"
    assert lessons.answer("count", {"ducks": [near, {**speck, "pixels": lessons.SPOKEN_PX}]}) == "2"
    assert lessons.answer("ahead", {"ducks": [speck]}) == "A road without ducks."


def test_frames_that_a_glimpse_of_a_duck_would_change_teach_nothing() -> None:
    hidden = {"along_m": 0.3, "offset_m": 0.0}
    frames = [{**label(1.4), "glimpses": [hidden]}, {**label(0.2), "glimpses": [hidden]}, label(1.4)] * 2
    looks = np.array([0, 0, 0, 11, 11, 11])
    found = FrameSet([Path("none")] * 6, frames, looks)
    assert found.training().tolist() == [1, 2] and found.validation().tolist() == [4, 5]


def test_a_training_learns_to_see(data: Path) -> None:
    """The library's own initial weights let a picture fade by 1e-23 on its way through: nothing was learnt."""
    training = Training([data], QUESTION, replace(PLAN, steps=40, batch=16, warm_up=5, average=0.8))
    began = sum(losses(training, 10)[-3:])
    assert sum(losses(training, 30)[-5:]) / 5 < 0.7 * began / 3


def test_a_picture_reaches_the_end_of_a_woken_tower(data: Path) -> None:
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

    pictures = torch.from_numpy(np.stack(pictures_of(data, range(8)))).permute(0, 3, 1, 2) / 255
    tokenizer = make_tokenizer([QUESTION.prompt], QUESTION.words)
    tower = FastVlmForConditionalGeneration(thin_config(tokenizer, SIZES)).model.vision_tower.timm_model
    with torch.no_grad():
        assert tower.eval().forward_features(to_square(pictures)).std(0).mean() < 1e-6
        wake(tower, to_square(pictures))
        assert 0.02 < tower.forward_features(to_square(pictures)).std(0).mean() < 5


def test_every_frame_is_trained_on_once_an_epoch_and_validation_never(data: Path) -> None:
    frames = load(data)
    assert set(frames.training()) | set(frames.validation()) == set(range(240))
    assert frames.validation().tolist() == list(range(220, 240))
    batches = Training([data], QUESTION, PLAN).batches
    epoch = np.concatenate([batches._chosen(step) for step in range(55)])
    assert sorted(epoch) == list(range(220))
    assert batches._chosen(60).tolist() != batches._chosen(5).tolist()


@pytest.mark.parametrize(
    ("along_m", "offset_m", "firm"),
    [
        (0.2, 0.0, True),
        (0.45, 0.0, False),  # at the STOP limit
        (0.7, 0.0, True),
        (1.0, 0.0, False),  # at the SLOW limit
        (0.3, 0.119, False),  # at the corridor's edge
        (2.0, 0.0, True),
    ],
)
def test_targets_are_soft_at_the_limits_and_firm_elsewhere(along_m: float, offset_m: float, firm: bool) -> None:
    (target,) = soft_targets([label(along_m, offset_m)], QUESTION, seed=1)
    assert target.sum() == pytest.approx(1)
    assert (target.max() > 0.99) == firm


@pytest.mark.parametrize(
    ("along_m", "offset_m", "near"),
    [
        (0.2, 0.0, False), (0.41, 0.0, True), (0.49, 0.0, True), (0.7, 0.0, False), (0.3, 0.10, True),
        (0.3, 0.16, True),
        (0.3, 0.22, True), (0.3, 0.30, False), (1.2, 0.0, False), (-0.1, 0.0, False), (-0.06, 0.0, True),
    ],
)  # fmt: skip
def test_a_frame_near_a_limit_is_known_as_such(along_m: float, offset_m: float, near: bool) -> None:
    truth = true_level(np.array([[along_m, offset_m]])).name
    assert near_limit({**label(along_m, offset_m), "level": truth}) == near
    assert not near_limit({"level": "CLEAR", "ducks": []})


def test_a_frame_without_ducks_is_clear() -> None:
    assert soft_targets([{"level": "CLEAR", "ducks": []}], QUESTION, 1).tolist() == [[1, 0, 0]]


QUESTIONS = questions_from(yaml.safe_load((Path(__file__).parents[2] / "config" / "questions.yaml").read_text()))


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_slow_frame_never_teaches_clear_whatever_words_a_question_has(question: Question) -> None:
    """Without a word for SLOW such a frame taught nothing, and "No" was counted as its right answer."""
    frames = [label(along_m) for along_m in (0.2, 0.42, 0.6, 0.8, 1.3)]
    targets = soft_targets(frames, question, seed=1)
    assert targets.sum(1) == pytest.approx(1)
    for frame, target in zip(frames, targets):
        taught = question.choices[int(target.argmax())].level
        assert (taught is Level.CLEAR) == (frame["level"] == "CLEAR")
        assert taught.name == frame["level"] or (frame["level"] == "SLOW" and taught is Level.STOP)


def test_words_of_one_level_share_what_it_deserves() -> None:
    words = (Choice("No", Level.CLEAR), Choice("Halt", Level.STOP), Choice("Never", Level.CLEAR))
    two = soft_targets([label(0.2), label(1.4)], Question("two", 1, "Is it?", words), 1)
    assert two.tolist() == [[0, 1, 0], [0.5, 0, 0.5]]


def test_a_question_without_a_word_for_slow_can_be_trained(data: Path) -> None:
    """It ended in a ValueError at the first frame that deserves SLOW."""
    training = Training([data], QUESTIONS["yes_no"], PLAN)
    assert losses(training, 1)[0] > 0
    truths = torch.cat([truth for _, truth in training.batches.validation(20)])
    frames = load(data)
    levels = [frames.level(number) for number in frames.validation()]
    assert Level.SLOW in levels and truths.tolist() == [int(level is not Level.CLEAR) for level in levels]


def test_a_mirrored_label_deserves_the_same_level_and_is_the_label_again_when_mirrored_twice() -> None:
    duck = {"along_m": 0.3, "offset_m": 0.1, "left_m": -0.2, "box": [0, 10, 50, 60]}
    seen = {"level": "STOP", "ducks": [duck], "d_m": 0.02, "phi_rad": -0.1}
    turned = mirrored(seen)
    assert turned["ducks"][0] == {"along_m": 0.3, "offset_m": -0.1, "left_m": 0.2, "box": [590, 10, 640, 60]}
    assert (turned["level"], turned["d_m"], turned["phi_rad"]) == ("STOP", -0.02, 0.1)
    assert mirrored(turned) == seen


def test_augmented_pictures_stay_pictures_and_differ() -> None:
    pictures = torch.rand(8, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    one = augment(pictures, torch.Generator().manual_seed(2))
    same = augment(pictures, torch.Generator().manual_seed(2))
    other = augment(pictures, torch.Generator().manual_seed(3))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == pictures.shape and one.min() >= 0 and one.max() <= 1


def test_a_picture_of_fewer_pixels_has_lost_its_finest_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (torch.arange(64) % 2).float().expand(4, 3, 48, 64)
    monkeypatch.setattr(augmenting, "COARSER", 1.0)
    coarse = augmenting._coarser(lines, torch.Generator().manual_seed(1))
    assert coarse.shape == lines.shape and float(coarse.mean()) == pytest.approx(0.5, abs=0.02)
    assert bool((coarse.std((1, 2, 3)) < 0.9 * lines.std()).any()) and bool((coarse.std((1, 2, 3)) < lines.std()).all())
    monkeypatch.setattr(augmenting, "COARSER", 0.0)
    assert torch.equal(augmenting._coarser(lines, torch.Generator().manual_seed(1)), lines)


def test_each_picture_is_asked_two_free_questions_beside_the_driving_one(data: Path) -> None:
    batches = Training([data], QUESTION, PLAN).batches
    batch = batches.at(3)
    driving, first, second = batch.ids.split(len(batch.pixels))
    assert batch.targets.shape == batch.ids.shape
    assert (driving[:, : batch.answer_at] == driving[0, : batch.answer_at]).all()
    assert not torch.equal(first, second) and not torch.equal(first, driving)


def test_the_square_has_black_bands_above_and_below() -> None:
    square = to_square(torch.ones(1, 3, 24, 32))
    assert square.shape == (1, 3, 32, 32)
    assert square[:, :, 4:28].min() == 1 and square[:, :, :4].max() == square[:, :, 28:].max() == 0


def test_free_answers_come_from_the_label() -> None:
    near = {"along_m": 0.31, "offset_m": 0.05}
    beside = {"along_m": 0.2, "offset_m": 0.3}
    assert lessons.answer("count", {"ducks": [near, beside]}) == "2"
    assert lessons.answer("count", {"ducks": [near] * 12}) == "Many"
    assert lessons.answer("distance", {"ducks": [near, beside]}) == "About 0.3 m."
    assert lessons.answer("distance", {"ducks": [beside]}) == "None in my lane."
    assert lessons.answer("lane", {"ducks": [near]}) == "Yes." != lessons.answer("lane", {"ducks": [beside]})
    assert lessons.answer("ahead", {"ducks": [near, beside]}) == "A duck in my lane, about 0.3 m ahead."
    assert lessons.answer("other", {"ducks": [near]}) == lessons.NOT_TRAINED


def test_every_topic_has_its_turn_and_no_other_prompt_is_a_taught_one() -> None:
    taught = {prompt for prompts in lessons.PROMPTS.values() for prompt in prompts}
    drawn = [lessons.draw(step, np.random.default_rng([3, step])) for step in range(800)]
    assert {topic for topic, _ in drawn} == set(lessons.TOPICS)
    assert all((prompt in taught) == (topic != "other") for topic, prompt in drawn)
    assert len({prompt for topic, prompt in drawn if topic == "other"}) > 80


def test_the_rate_rises_then_falls() -> None:
    plan = Plan(steps=100, warm_up=10, peak_rate=1.0)
    assert plan.rate(0) == pytest.approx(0.1) and plan.rate(9) == 1.0
    assert plan.rate(100) == pytest.approx(0.01)
    assert all(plan.rate(step) > plan.rate(step + 1) for step in range(10, 99))


def test_a_data_set_still_being_rendered_can_be_read(data: Path, tmp_path: Path) -> None:
    lines = (data / "labels.jsonl").read_text().splitlines()
    (tmp_path / "labels.jsonl").write_text("\n".join([*lines[:40], lines[40][:50]]))
    frames: FrameSet = load(tmp_path)
    assert len(frames.labels) == len(frames.files) == 40


def test_several_data_sets_are_one_and_keep_their_own_validation(data: Path) -> None:
    frames = load(data, data)
    assert len(frames.labels) == 480
    assert frames.validation().tolist() == [*range(220, 240), *range(460, 480)]
