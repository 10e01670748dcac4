"""From a name to a model that can be served: the same FastVlm and Batcher as vlm_node's, with an engine on top."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from duck_protection.server.plain_engine import PlainEngine
from duck_protection.server.service import Model
from duck_protection.server.settings import ServerSettings
from duck_protection.vlm.base import LoadError, Vlm
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.optimisations import BATCHES


@dataclass(frozen=True)
class ModelChoice:
    """Which model: the same words as vlm_node's parameters."""

    backend: str = "fastvlm"
    model: str = ""
    device: str = "auto"
    dtype: str = "auto"
    script: str = ""


def load(choice: ModelChoice, settings: ServerSettings) -> Model:
    """The model, warmed up.

    Raises:
        LoadError: It cannot be loaded; the message says what to do.
    """
    if choice.backend == "scripted":
        return _scripted(choice.script, settings)
    from duck_protection.vlm.fastvlm import FastVlm

    vlm = FastVlm(choice.model or _duckling(), choice.device, choice.dtype)
    vlm.warm_up()
    if not settings.max_batch:
        vlm.measure_batches(BATCHES[-1])
    return serve_with(Batcher(vlm, settings.max_batch or vlm.best_batch, settings.queue + 1), vlm, settings)


def serve_with(batcher: Batcher, vlm: Vlm, settings: ServerSettings) -> Model:
    """An engine over a model that somebody else (vlm_node) has loaded and given its thread.

    Raises:
        MemoryFullError: There is no room for the answers' keys and values: fewer slots, or a shorter context.
    """
    if not vlm.identity.backend.startswith("fastvlm"):  # a node without torch serves HTTP too
        return Model(batcher, PlainEngine(vlm, settings.context_tokens))
    from duck_protection.server.torch_engine import TorchEngine
    from duck_protection.vlm.fastvlm import FastVlm
    from duck_protection.vlm.torch_errors import mapped_errors

    assert isinstance(vlm, FastVlm)
    with mapped_errors():
        return Model(batcher, TorchEngine(vlm, settings.slots, settings.context_tokens, settings.together))


def _scripted(script: str, settings: ServerSettings) -> Model:
    import yaml

    from duck_protection.vlm.scripted import ScriptedVlm, lines_from

    try:
        lines = lines_from(yaml.safe_load(Path(script).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as err:
        raise LoadError(f"the script {script!r} cannot be read: {err}") from err
    vlm = ScriptedVlm(lines)
    return Model(Batcher(vlm), PlainEngine(vlm, settings.context_tokens))


def _duckling() -> str:
    for folder in Path(__file__).resolve().parents:
        if (folder / "models" / "duckling" / "config.json").exists():
            return str(folder / "models" / "duckling")
    raise LoadError("no models/duckling beside this package: name a model (--model FOLDER)")
