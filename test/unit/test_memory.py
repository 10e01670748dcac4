"""What fits where, said before anything is read; full memories that are answers; and quantised models, for real."""

from __future__ import annotations

import json
import math
import re
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
import torch
from apple_kit import SIZES, apple_weights, write_apple
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Choice, Question
from duck_protection.verdict import Level
from duck_protection.vlm import folders, memory
from duck_protection.vlm.base import LoadError, MemoryFullError
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.checkpoints import load_checkpoint
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.optimisations import NONE

# FastVLM-7B: 28 layers of 2*3584*3584 + 2*3584*512 + 3*3584*18944 numbers; 7.76 billion in all.
SEVEN = memory.Numbers(28 * (2 * 3584**2 + 2 * 3584 * 512 + 3 * 3584 * 18944), 7_760_000_000 - 6_525_288_448, 96)
GB = 1e9
ROAD = Question("road", 1, "?", (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP)))


@pytest.mark.parametrize(
    ("dtype", "least", "most"),  # GB: the goals at batch 1 are 17.5 and 7.5
    [("bfloat16", 16.0, 17.5), ("float32", 31.0, 33.0), ("8bit", 9.0, 11.0), ("4bit", 6.0, 7.5), ("fp8", 9.0, 11.0)],
)
def test_the_estimate_of_fastvlm_7b(dtype: str, least: float, most: float) -> None:
    assert SEVEN.layers == 6_525_288_448
    needed = (SEVEN.bytes(dtype, 1024) + memory.GPU_CONTEXT_BYTES) / GB
    assert least < needed < most


@pytest.mark.parametrize(
    ("dtype", "free_gb", "sentence"),
    [
        ("bfloat16", 24.0, None),
        ("bfloat16", 12.0, r"dtype bfloat16 needs about 16\.\d GB, cuda:0 has 12\.0 GB free: use dtype 8bit, which"),
        ("bfloat16", 8.0, "use dtype 4bit, which needs about"),
        ("4bit", 8.0, None),
        ("8bit", 8.0, "use dtype 4bit"),
        ("float32", 24.0, "use dtype bfloat16"),
        ("4bit", 4.0, r"no setting fits, 4bit would need \d\.\d GB: take a smaller model"),
    ],
)
def test_a_card_too_small_is_told_which_setting_fits(dtype: str, free_gb: float, sentence: str) -> None:
    said = memory.too_small(SEVEN, dtype, 1024, "cuda:0", free_gb * GB)
    assert (said is None) == (sentence is None)
    if said is not None:
        assert re.search(sentence, said), said


def test_numbers_are_counted_in_both_layouts(tmp_path: Path, road: Question) -> None:
    size = replace(SIZES["7B"], layers=2, tower_layers=(1, 1, 1, 1, 1))
    weights = apple_weights(size)
    counted = memory.numbers_in(folders.weight_files(write_apple(tmp_path / "apple", size, weights, shards=2)))
    layers = [value for key, value in weights.items() if ".layers." in key and value.ndim == 2]
    assert len(layers) == 2 * 7
    assert counted.layers == sum(value.numel() for value in layers)
    assert counted.layers + counted.others == sum(value.numel() for value in weights.values())
    assert counted.tower_width == size.tower_widths[0]
    tokenizer = tiny_tokenizer(road)
    native = memory.numbers_in(folders.weight_files(saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "tiny")))
    whole = tiny_model(tokenizer).named_parameters()
    assert native.layers == sum(value.numel() for key, value in whole if ".layers." in key and value.ndim == 2)


def test_a_model_too_large_for_this_machine_is_refused_before_it_is_read(tmp_path: Path, road: Question) -> None:
    """A sparse file of one terabyte: reading it would take an hour."""
    tokenizer = tiny_tokenizer(road)
    folder = saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "giant")
    wheel = {"dtype": "BF16", "shape": [10**6, 500_000], "data_offsets": [0, 10**12]}
    header = json.dumps({"model.wheel": wheel}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 10**12)
    with pytest.raises(LoadError, match=r"giant: dtype float32 needs about 2000\.\d GB, cpu has .* no setting fits"):
        load_checkpoint(str(folder), "cpu")


@pytest.fixture
def vlm(tmp_path: Path, road: Question) -> FastVlm:
    tokenizer = tiny_tokenizer(road)
    return FastVlm(str(saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "tiny")), "cpu")


def allocate_too_much(*_: object) -> None:
    torch.empty(2**60, dtype=torch.uint8)  # the allocator itself refuses


def no_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")  # what a GPU's allocator raises


@pytest.mark.parametrize("happens", [allocate_too_much, no_memory])
def test_a_full_memory_is_an_answer_and_the_model_lives_on(happens: Any, vlm: FastVlm, road: Question) -> None:
    """The error arises inside the tower, as it would on a card, and passes through everything up to the caller."""
    frame = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    before = vlm.choose([frame], [road])[0]
    hook = vlm.checkpoint.model.model.vision_tower.timm_model.stages[2].register_forward_pre_hook(happens)
    with pytest.raises(MemoryFullError, match="out of memory"):
        vlm.choose([frame[::-1]], [road])
    with pytest.raises(MemoryFullError):
        next(iter(vlm.generate(frame[::-1], road.prompt, 3)))
    hook.remove()
    assert vlm.choose([frame.copy()], [road])[0].probabilities == before.probabilities
    assert len(list(vlm.generate(frame, road.prompt, 3))) == 3


def test_a_batch_too_large_is_answered_in_parts(vlm: FastVlm, road: Question) -> None:
    """The card has room for two pictures."""
    sizes = []

    def two_fit(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            no_memory()

    vlm.checkpoint.model.model.vision_tower.timm_model.stages[0].register_forward_pre_hook(two_fit)
    frames = np.random.default_rng(1).integers(0, 255, (8, 48, 64, 3)).astype(np.uint8)
    batcher = Batcher(vlm, max_batch=8)
    answers = list(ask_all(batcher, frames, road))
    batcher.close()
    assert len(answers) == 8
    assert all(not math.isnan(answer.off_mass) for answer in answers)
    assert max(sizes) > 2


def ask_all(batcher: Batcher, frames: np.ndarray, question: Question) -> Iterator[Any]:
    """All at once, while a long step holds the model's thread, so that they meet in the queue."""
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(30)

    keeper = threading.Thread(target=batcher.between, args=(hold,))
    keeper.start()
    assert held.wait(30)
    with ThreadPoolExecutor(len(frames)) as pool:
        asked = [pool.submit(batcher.choose, frame, question, time.monotonic() + 60) for frame in frames]
        go.set()
        yield from (one.result() for one in asked)
    keeper.join()


@pytest.mark.parametrize(("dtype", "within"), [("8bit", 0.02), ("4bit", 0.15)])
@pytest.mark.filterwarnings("ignore")  # bitsandbytes warns of its casts
def test_a_quantised_model_answers_like_the_whole_one(dtype: str, within: float, tmp_path: Path) -> None:
    """bitsandbytes itself, on the CPU: only the text model's layers are quantised, and both ways compute alike."""
    pytest.importorskip("bitsandbytes")
    size = replace(SIZES["7B"], layers=2, head_width=16, vocab=151936, tower_layers=(1, 1, 1, 1, 1))
    folder = write_apple(tmp_path / "apple", size, apple_weights(size))
    question = replace(ROAD, prompt="Is a duck in the way?")
    frame = np.random.default_rng(1).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    exact = FastVlm(str(folder), "cpu", "bfloat16").choose([frame], [question])[0]
    quantised = FastVlm(str(folder), "cpu", dtype)
    model = quantised.checkpoint.model
    kinds = {name for name, module in model.named_modules() if "bitsandbytes" in type(module).__module__}
    assert {name.rpartition(".layers.")[0] for name in kinds} == {"model.language_model"}
    assert len(kinds) == 2 * 7
    assert quantised.identity.dtype == dtype
    fast = quantised.choose([frame], [question])[0]
    plain = FastVlm.of(quantised.checkpoint, NONE).choose([frame], [question])[0]
    assert fast.probabilities == pytest.approx(plain.probabilities, abs=1e-2)
    assert fast.probabilities == pytest.approx(exact.probabilities, abs=within)

