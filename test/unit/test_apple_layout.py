"""Apple's checkpoints at the true depth of all three sizes: whole or not at all, and they compute what Apple's do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from apple_kit import SIZES, TOWER, Size, apple_weights, random_weights, tower_shapes, write_apple, write_weights
from apple_reference import IMAGE, Reference
from PIL import Image

from duck_protection.vlm import chatml
from duck_protection.vlm.base import ChoiceError, LoadError
from duck_protection.vlm.checkpoints import load_checkpoint
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.pixels import with_pillow

SMALL = replace(SIZES["7B"], layers=1, tower_layers=(1, 1, 1, 1, 1))  # for what does not depend on the depth
QUESTION = "Is a duck in the way?"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_apple(tmp_path_factory.mktemp("apple") / "FastVLM-7B", SMALL, apple_weights(SMALL))


def noise(side: int) -> torch.Tensor:
    return torch.rand((3, side, side), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("shards", [1, 3])
def test_logits_are_apples_at_true_depth(name: str, shards: int, tmp_path: Path) -> None:
    """Every position's logits within 1e-5 of a reference that knows Apple's names and nothing of ours."""
    size = SIZES[name]
    weights = apple_weights(size)
    checkpoint = load_checkpoint(str(write_apple(tmp_path / name, size, weights, shards)), "cpu")
    pixels, side = noise(128), 128
    ids, at = chatml.ids(checkpoint.tokenizer, QUESTION, (side // 64) ** 2)
    theirs = [*ids[:at], IMAGE, *ids[at + 4 :]]
    with torch.no_grad():
        wanted = Reference(weights, size).logits(theirs, pixels)
        got = checkpoint.model(input_ids=torch.tensor([ids]), pixel_values=pixels[None]).logits[0]
    assert wanted.std() > 0.1  # not a comparison of zeros
    assert got.shape == wanted.shape == (len(ids), size.vocab)
    assert (got - wanted).abs().max() < 1e-5


def test_every_tensor_matters_to_the_comparison(tmp_path: Path) -> None:
    """The reference would notice a swap of two layers: else the test above would prove little."""
    size = replace(SMALL, layers=3)
    weights = apple_weights(size)
    checkpoint = load_checkpoint(str(write_apple(tmp_path / "three", size, weights)), "cpu")
    swapped = dict(weights)
    for key in weights:
        if key.startswith("model.layers.1."):
            other = key.replace("layers.1.", "layers.2.")
            swapped[key], swapped[other] = weights[other], weights[key]
    ids, at = chatml.ids(checkpoint.tokenizer, QUESTION, 1)
    pixels = noise(64)
    with torch.no_grad():
        wanted = Reference(swapped, size).logits([*ids[:at], IMAGE, *ids[at + 1 :]], pixels)
        got = checkpoint.model(input_ids=torch.tensor([ids]), pixel_values=pixels[None]).logits[0]
    assert (got - wanted).abs().max() > 1e-2


def test_the_vision_tower_at_full_size(tmp_path: Path) -> None:
    """All 125 million numbers of FastViTHD by Apple's names; features at 192 pixels (9 tokens) for time's sake."""
    size = replace(SMALL, tower_layers=(2, 12, 24, 4, 2), tower_widths=(96, 192, 384, 768, 1536))
    tower = dict(random_weights(((TOWER + n, s) for n, s in tower_shapes(size.tower_layers, size.tower_widths)), 4))
    assert len(tower) == 629
    learnt = {key: value for key, value in tower.items() if "running" not in key and "num_batches" not in key}
    assert sum(value.numel() for value in learnt.values()) == pytest.approx(125.07e6, abs=5e3)
    weights = {**{k: v for k, v in apple_weights(size).items() if not k.startswith(TOWER)}, **tower}
    checkpoint = load_checkpoint(str(write_apple(tmp_path / "full", size, weights)), "cpu")
    pixels = noise(192)
    with torch.no_grad():
        wanted = Reference(weights, size).features(pixels)
        got = checkpoint.model.model.vision_tower(pixels[None]).last_hidden_state[0].flatten(1).T
    assert got.shape == wanted.shape == (9, 3072)
    assert (got - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_configuration_and_markup_are_the_released_ones(small: Path) -> None:
    checkpoint = load_checkpoint(str(small), "cpu")
    text, tokenizer = checkpoint.model.config.text_config, checkpoint.tokenizer
    assert (text.rope_parameters["rope_theta"], text.rms_norm_eps, text.vocab_size) == (1e6, 1e-6, 152064)
    assert set(text.layer_types) == {"full_attention"}  # "sliding_window": 32768 stands in the file but is not used
    assert checkpoint.model.config.text_config.max_position_embeddings == 32768
    assert (checkpoint.side_px, checkpoint.image_tokens) == (1024, 256)
    assert [chatml.special_id(tokenizer, token) for token in (*chatml.END_TOKENS, chatml.START, chatml.IMAGE)] == [
        151645, 151643, 151644, 151646,
    ]  # fmt: skip


def test_the_prompts_tokens_are_those_of_apples_whole_string(small: Path) -> None:
    """Apple's code splits the rendered template at <image> and tokenizes both halves with markup switched on."""
    tokenizer = load_checkpoint(str(small), "cpu").tokenizer
    ours, at = chatml.ids(tokenizer, QUESTION, 256)
    before, after = chatml.text(QUESTION).split("<image>")
    tokenizer.encode_special_tokens = False
    head, tail = (tokenizer.encode(half, add_special_tokens=False).ids for half in (before, after))
    assert ours == head + [151646] * 256 + tail
    assert at == len(head)


def test_choices_on_qwens_vocabulary(small: Path) -> None:
    vlm = FastVlm(str(small), "cpu")
    vlm.check_choices(["Clear", "Slow", "Stop"])
    vlm.check_choices(["Yes", "No"])
    for words in (["Clear", "Impossible"], ["Yes", "<|im_end|>"], ["Yes", "Yes"]):
        with pytest.raises(ChoiceError):
            vlm.check_choices(words)


def test_pixels_are_those_of_apples_preprocessing() -> None:
    """predict.py: black square, then CLIPImageProcessor. Bands on both sides of a 640x480 view are still there."""
    from transformers import CLIPImageProcessorPil

    frame = np.random.default_rng(8).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    frame[:, :80], frame[:, 560:] = (255, 0, 0), (0, 255, 0)
    square = Image.new("RGB", (640, 640), (0, 0, 0))
    square.paste(Image.fromarray(frame), (0, 80))
    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": 1024}, crop_size={"height": 1024, "width": 1024}, image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0], resample=3,
    )(square, return_tensors="pt")["pixel_values"][0]  # fmt: skip
    ours = with_pillow(frame, 1024).float() / 255
    assert (ours - theirs).abs().max() < 1e-6
    middle = ours[:, 512]
    assert middle[:, 5].tolist() == [1.0, 0.0, 0.0]
    assert middle[:, 1018].tolist() == [0.0, 1.0, 0.0]
    assert ours[:, :126].max() == 0


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def drop(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


REFUSED = {
    "a layer's tensor too few": (lambda w: drop(w, "model.layers.0.mlp.up_proj.weight"), "1 missing, such as model"),
    "a tower's tensor too few": (lambda w: drop(w, TOWER + "network.9.reparam_conv.bias"), "1 missing"),
    "no head where none is tied": (lambda w: drop(w, "lm_head.weight"), "1 missing, such as lm_head.weight"),
    "a tensor too many": (lambda w: {**w, "model.image_newline": torch.zeros(4)}, "1 unexpected, such as model.image"),
    "another head": (lambda w: {**w, "model.head.proj": torch.zeros(4)}, "1 unexpected, such as model.head.proj"),
    "a layer too many": (lambda w: {**w, "model.layers.1.mlp.up_proj.weight": torch.zeros(4, 4)}, "1 unexpected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_keys_fit_exactly_or_nothing_loads(name: str, tmp_path: Path) -> None:
    change, sentence = REFUSED[name]
    folder = write_apple(tmp_path / "odd", SMALL, change(apple_weights(SMALL)))
    with pytest.raises(LoadError, match=sentence):
        load_checkpoint(str(folder), "cpu")


def test_the_unused_head_may_be_missing(tmp_path: Path) -> None:
    load_checkpoint(str(write_apple(tmp_path / "bare", SMALL, drop(apple_weights(SMALL), TOWER + "head.proj"))), "cpu")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_apple(tmp_path / "sharded", SMALL, apple_weights(SMALL), shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(LoadError, match=r"model-00002-of-00003\.safetensors is missing"):
        load_checkpoint(str(folder), "cpu")


def test_a_leftover_shard_is_not_taken_for_the_model(tmp_path: Path) -> None:
    """A folder with an index is what the index says, whatever else lies there."""
    folder = write_apple(tmp_path / "sharded", SMALL, apple_weights(SMALL), shards=2)
    before = load_checkpoint(str(folder), "cpu")
    (tmp_path / "other").mkdir()
    write_weights(tmp_path / "other", apple_weights(SMALL, seed=9))
    (tmp_path / "other" / "model.safetensors").rename(folder / "consolidated.safetensors")
    after = load_checkpoint(str(folder), "cpu")
    assert after.revision == before.revision


@pytest.mark.parametrize("changes", [{"mm_projector_type": "linear"}, {"mm_vision_tower": "clip-vit-large"},
                                     {"image_aspect_ratio": "anyres"}, {"mm_use_im_start_end": True}])  # fmt: skip
def test_a_configuration_that_means_another_model_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    folder = write_apple(tmp_path / "odd", SMALL, apple_weights(SMALL))
    edit(folder, **changes)
    with pytest.raises(LoadError, match=next(iter(changes))):
        load_checkpoint(str(folder), "cpu")


def test_remote_code_beside_the_weights_is_never_run(tmp_path: Path) -> None:
    folder = write_apple(tmp_path / "code", SMALL, apple_weights(SMALL))
    (folder / "llava_qwen.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    load_checkpoint(str(folder), "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("end", chatml.END_TOKENS)
def test_a_tokenizer_json_without_the_placeholder_gets_it(end: str, small: Path, tmp_path: Path) -> None:
    """Apple's repositories have tokenizer.json or only vocab.json; neither knows <image>."""
    folder = write_apple(tmp_path / "json", SMALL, apple_weights(SMALL))
    full = load_checkpoint(str(small), "cpu").tokenizer
    bare = json.loads(full.to_str())
    bare["added_tokens"] = [token for token in bare["added_tokens"] if token["content"] != "<image>"]
    (folder / "tokenizer.json").write_text(json.dumps(bare))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    tokenizer = load_checkpoint(str(folder), "cpu").tokenizer
    assert chatml.special_id(tokenizer, "<image>") == 151646
    assert chatml.special_id(tokenizer, end) == chatml.special_id(full, end)


def test_true_sizes_are_what_the_estimate_says() -> None:
    """Heads, layers and vocabulary in the kit are those of the released models: parameters in all, in billions."""
    published = {"0.5B": (896, 4864, 0.62), "1.5B": (1536, 8960, 1.67), "7B": (3584, 18944, 7.76)}
    for name, (width, inner, billions) in published.items():
        size: Size = SIZES[name]
        kv = width // size.heads * size.kv_heads
        layer = 2 * width * width + 2 * width * kv + 3 * width * inner + width + 2 * kv + 2 * width
        tower, projector = 122.71e6, 3072 * width + width * width + 2 * width
        head = size.vocab * width * (1 if size.tied else 2)
        assert (size.layers * layer + head + width + tower + projector) / 1e9 == pytest.approx(billions, abs=0.006)
