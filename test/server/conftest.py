"""Models for the server's tests: a script, and a tiny FastVLM made on the spot."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from server_kit import PROMPT, Client, ready, serving

from duck_protection.question import Choice, Question
from duck_protection.server.plain_engine import PlainEngine
from duck_protection.server.service import Model
from duck_protection.server.settings import ServerSettings
from duck_protection.verdict import Level
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.scripted import Line, ScriptedVlm, lines_from


@pytest.fixture
def scripted() -> Iterator[Any]:
    """A function that serves a script: (client, vlm, batcher) inside `with`."""
    batchers: List[Batcher] = []

    @contextmanager
    def serve(script: list, **settings: Any) -> Iterator[Any]:
        vlm = ScriptedVlm([line if isinstance(line, Line) else lines_from([line])[0] for line in script])
        batcher = Batcher(vlm)
        batchers.append(batcher)
        model = Model(batcher, PlainEngine(vlm, 1024))
        try:
            with serving(model, **settings) as client:
                yield ready(client), vlm, batcher
        finally:
            vlm.release()

    yield serve
    for batcher in batchers:
        batcher.close()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random FastVLM of a few hundred thousand numbers, saved as a checkpoint."""
    import torch
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

    from duck_protection.learning.thin import Sizes, thin_config
    from duck_protection.learning.tokenizer import make_tokenizer

    torch.manual_seed(3)
    tokenizer = make_tokenizer([PROMPT], ["Clear", "Slow", "Stop", "Yes", "No"])
    sizes = Sizes(side_px=128, layers=(1, 1, 1, 1, 1), widths=(8, 16, 32, 64, 128), text_layers=2, text_width=64)
    model = FastVlmForConditionalGeneration(thin_config(tokenizer, sizes))
    folder = tmp_path_factory.mktemp("tiny") / "tiny-fastvlm"
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def tiny_vlm(tiny_folder: Path) -> Any:
    from duck_protection.vlm.fastvlm import FastVlm

    return FastVlm(str(tiny_folder), "cpu", "float32")


@pytest.fixture(scope="session")
def tiny_model(tiny_vlm: Any) -> Iterator[Model]:
    from duck_protection.server.loading import serve_with

    batcher = Batcher(tiny_vlm)
    yield serve_with(batcher, tiny_vlm, ServerSettings(slots=4, context_tokens=1024))
    batcher.close()


@pytest.fixture(scope="session")
def tiny(tiny_model: Model) -> Iterator[Client]:
    """A server with the tiny FastVLM, for all tests that do not disturb it."""
    with serving(tiny_model, slots=4) as client:
        yield ready(client)


@pytest.fixture
def road() -> Question:
    choices = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
    return Question("road", 1, "Is a duck in your way?", choices)
