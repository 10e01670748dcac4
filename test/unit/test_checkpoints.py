"""A model's folder is whole, or there is one clear sentence about what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Callable

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Choice, Question
from duck_protection.verdict import Level
from duck_protection.vlm import apple_layout
from duck_protection.vlm.base import LoadError
from duck_protection.vlm.checkpoints import load_checkpoint

QUESTION = Question("road", 1, "Is a duck near?", (Choice("Clear", Level.CLEAR), Choice("Stop", Level.STOP)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_tokenizer(QUESTION)
    return saved(tiny_model(tokenizer), tokenizer, QUESTION, tmp_path_factory.mktemp("models") / "tiny")


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")


def widen(weights: dict[str, torch.Tensor]) -> None:
    weights["model.multi_modal_projector.linear_1.bias"] = torch.zeros(65)


def edit_tokenizer(folder: Path, old: str, new: str) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace(old, new))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda folder: shutil.rmtree(folder), "no model folder .*train one"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json: this is not a model's folder"),
    "config is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
    "another model": (lambda folder: edit_json(folder / "config.json", model_type="llava"), "'llava' model: only Fast"),
    "odd config": (lambda folder: edit_json(folder / "config.json", vision_feature_layer=-2), "describes no FastVLM"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
    "only pickle": (only_pickle, "only as pickle .*can run code"),
    "half of the weights": (cut_weights, "cannot be loaded"),
    "a tensor too few": (
        lambda folder: edit_weights(folder, lambda weights: weights.pop("model.language_model.norm.weight")),
        "1 missing, such as model.language_model.norm.weight",
    ),
    "a tensor too many": (
        lambda folder: edit_weights(folder, lambda weights: weights.update(wheel=torch.zeros(2))),
        "1 unexpected, such as wheel",
    ),
    "a tensor too wide": (lambda folder: edit_weights(folder, widen), "cannot be loaded|of another shape"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json cannot be read"),
    "foreign tokenizer": (lambda folder: edit_tokenizer(folder, "<|im_end|>", "<|stop|>"), "no token '<.im_end.>'"),
    "image token elsewhere": (lambda folder: edit_json(folder / "config.json", image_token_index=9), "<image> at 3"),
    "odd picture size": (
        lambda folder: edit_json(folder / "preprocessor_config.json", crop_size={"height": 100, "width": 100}),
        "multiple of 64 pixels, is 100",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence(name: str, whole: Path, tmp_path: Path) -> None:
    breaking, sentence = BROKEN[name]
    folder = tmp_path / "tiny"
    shutil.copytree(whole, folder)
    breaking(folder)
    with pytest.raises(LoadError, match=sentence) as caught:
        load_checkpoint(str(folder), "cpu")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("device", "dtype", "sentence"),
    [
        ("gpu", "auto", "device must be auto, cpu, cuda or cuda:N"),
        ("cuda:99", "auto", "device cuda:99 is not here"),
        ("cpu", "fp8", "dtype fp8 needs"),
        ("cpu", "int8", "dtype must be auto or one of float32, bfloat16, float16, 8bit, 4bit, fp8"),
    ],
)
def test_settings_that_cannot_work_are_refused(device: str, dtype: str, sentence: str, whole: Path) -> None:
    with pytest.raises(LoadError, match=re.escape(sentence)):
        load_checkpoint(str(whole), device, dtype)


def test_a_whole_folder_loads_as_it_was_saved(whole: Path) -> None:
    checkpoint = load_checkpoint(str(whole), "cpu")
    wanted = tiny_model(tiny_tokenizer(QUESTION)).state_dict()
    got = checkpoint.model.state_dict()
    assert {key for key in wanted if not torch.equal(wanted[key], got[key])} == set()
    assert (checkpoint.side_px, checkpoint.image_tokens, checkpoint.dtype) == (128, 4, "float32")
    assert checkpoint.revision == hashlib.sha256((whole / "model.safetensors").read_bytes()).hexdigest()[:12]
    assert not checkpoint.model.training


def test_revision_changes_with_one_weight(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(whole, folder)
    edit_weights(folder, lambda weights: weights["model.language_model.norm.weight"].add_(1e-3))
    assert load_checkpoint(str(folder), "cpu").revision != load_checkpoint(str(whole), "cpu").revision


def test_picture_size_comes_from_the_number_of_tokens_when_nothing_else_says_it(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(whole, folder)
    (folder / "preprocessor_config.json").unlink()
    assert load_checkpoint(str(folder), "cpu").side_px == 128


APPLES = [  # native names to Apple's, as published; the opposite direction of apple_layout.KEYS
    (r"^model\.vision_tower\.timm_model\.", "model.vision_tower.vision_tower.model."),
    (r"(model\.)stem\.", r"\1patch_embed."),
    (r"(model\.)final_conv\.", r"\1conv_exp."),
    (r"(model\.)stages\.0\.blocks\.", r"\1network.0."),
    (r"(model\.)stages\.1\.downsample\.", r"\1network.1."),
    (r"(model\.)stages\.1\.blocks\.", r"\1network.2."),
    (r"(model\.)stages\.2\.downsample\.", r"\1network.3."),
    (r"(model\.)stages\.2\.blocks\.", r"\1network.4."),
    (r"(model\.)stages\.3\.downsample\.", r"\1network.5."),
    (r"(model\.)stages\.3\.pos_emb\.", r"\1network.6."),
    (r"(model\.)stages\.3\.blocks\.", r"\1network.7."),
    (r"(model\.)stages\.4\.downsample\.", r"\1network.8."),
    (r"(model\.)stages\.4\.pos_emb\.", r"\1network.9."),
    (r"(model\.)stages\.4\.blocks\.", r"\1network.10."),
    (r"(network\.\d+\.\d+)\.mlp\.", r"\1.convffn."),
    (r"(network\.[1358]\.proj\.0)\.reparam_conv\.", r"\1.lkb_reparam."),
    (r"\.se\.fc1\.", ".se.reduce."),
    (r"\.se\.fc2\.", ".se.expand."),
    (r"(layer_scale(?:_[12])?)\.gamma$", r"\1"),
    (r"^model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
    (r"^model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
    (r"^model\.language_model\.", "model."),
]


def apples_name(key: str) -> str:
    for pattern, put in APPLES:
        key = re.sub(pattern, put, key)
    return key


def test_apples_own_layout_loads_to_the_same_model(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "apple"
    shutil.copytree(whole, folder)
    native = json.loads((whole / "config.json").read_text())
    text = {key: native["text_config"][key] for key in apple_layout.TEXT_FIELDS if key in native["text_config"]}
    own = {"vision_config": native["vision_config"], "image_token_index": native["image_token_index"]}
    config = {"model_type": "llava_qwen2", "tie_word_embeddings": True, **text, **own}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {apples_name(key): value for key, value in load_file(whole / "model.safetensors").items()}
    weights["model.vision_tower.vision_tower.model.head.proj"] = torch.zeros(4, 4)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert any("network.9.reparam_conv" in key for key in weights)
    got, wanted = load_checkpoint(str(folder), "cpu"), load_checkpoint(str(whole), "cpu")
    theirs, ours = got.model.state_dict(), wanted.model.state_dict()
    assert theirs.keys() == ours.keys()
    assert {key for key in ours if not torch.equal(ours[key], theirs[key])} == set()
