"""Which model looks: the settings' backend, opened. Heavy libraries are imported here, when they are needed.

Promise: what can be known to be wrong without loading is a SettingsError at once; what shows while loading is a
VlmError that says what to do.
"""
from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, ClassVar

import rospkg
import rospy
import yaml

from duck_protection.settings import RangeTable, SettingsError, check_ranges
from duck_protection.vlm.base import Vlm
from duck_protection.vlm.optimisations import BATCHES, parsed
from duck_protection.vlm.sizing import USUAL

BACKENDS = ("fastvlm", "remote", "scripted")
URL_VARIABLE = "FASTVLM_SERVER_URL"
KEY_VARIABLE = "FASTVLM_SERVER_KEY"  # not a parameter: everybody on the network can read the parameter server


@dataclass(frozen=True)
class EyeSettings:
    """The settings of vlm_node; reasons stand in config/vlm_node.yaml."""

    backend: str = "fastvlm"
    model: str = ""
    device: str = "auto"
    dtype: str = "auto"
    optimisations: str = "all"
    question_first: bool = False
    threads: int = 0
    script: str = ""
    server_url: str = ""
    server_s: float = 1.0
    max_batch: int = 4
    max_queue: int = 8
    max_deadline_s: float = 60.0
    max_tokens: int = 256
    max_image_bytes: int = 8 * 1024 * 1024
    max_image_pixels: int = 4_200_000
    http_port: int = 0
    http_host: str = "127.0.0.1"
    http_keyless: str = ""

    RANGES: ClassVar[RangeTable] = {
        "threads": (0, 256),
        "server_s": (0.05, 60.0),
        "max_batch": (0, 64),
        "max_queue": (1, 256),
        "max_deadline_s": (0.1, 600.0),
        "max_tokens": (1, 1024),
        "max_image_bytes": (1_000, 100_000_000),
        "max_image_pixels": (1_000, 100_000_000),
        "http_port": (0, 65535),
    }

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.backend not in BACKENDS:
            raise SettingsError(f"backend must be one of {', '.join(BACKENDS)}, is {self.backend!r}")
        try:
            parsed(self.optimisations)
        except ValueError as err:
            raise SettingsError(f"optimisations: {err}") from err
        if self.backend == "scripted" and not self.script:
            raise SettingsError("script must be the path of a file for backend scripted, is ''")
        if self.backend == "remote" and not self.url:
            raise SettingsError(f"server_url, or the variable {URL_VARIABLE}, must name the server for backend remote")

    @property
    def url(self) -> str:
        """The server to ask, for backend remote."""
        return self.server_url or os.environ.get(URL_VARIABLE, "")


def opener(settings: EyeSettings, key_variable: str = KEY_VARIABLE) -> Callable[[], Vlm]:
    """What opens the eyes; call it in a thread of your own, it may take a minute.

    Args:
        key_variable: The environment's variable with the server's key.

    Raises:
        SettingsError: the script is unusable. The returned function raises LoadError or MemoryFullError.
    """
    if settings.backend == "scripted":
        return _scripted(settings.script)
    return lambda: _remote(settings, key_variable) if settings.backend == "remote" else _fastvlm(settings)


def batch_size(settings: EyeSettings, eyes: Vlm) -> int:
    """How many pictures go into one forward pass: as set, or as measured, where there was something to measure."""
    return settings.max_batch or getattr(eyes, "best_batch", USUAL)


def _remote(settings: EyeSettings, key_variable: str) -> Vlm:
    from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

    key = os.environ.get(key_variable, "")
    limits = {"choose_s": settings.server_s, "answer_s": settings.max_deadline_s}
    eyes = RemoteVlm(RemoteSettings(settings.url, key, settings.model, together=settings.max_batch or USUAL, **limits))
    if not eyes.gives_probabilities:
        rospy.logwarn("%s gives no logprobs: it serves free questions and comparison, no verdicts", settings.url)
    return eyes


def _scripted(script: str) -> Callable[[], Vlm]:
    from duck_protection.vlm.scripted import ScriptedVlm, lines_from

    try:
        lines = lines_from(yaml.safe_load(Path(script).read_text(encoding="utf-8")) or [])
    except (OSError, ValueError, TypeError, yaml.YAMLError) as err:
        raise SettingsError(f"script {script}: {err}") from err
    return lambda: ScriptedVlm(lines)


def _fastvlm(settings: EyeSettings) -> Vlm:
    if settings.threads:
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # read when torch comes, which is below
    gc.disable()  # a sixth of the seconds that torch and transformers take to come
    try:
        from duck_protection.vlm.fastvlm import FastVlm

        eyes = FastVlm(
            settings.model or str(_package() / "models" / "duckling"), settings.device, settings.dtype,
            parsed(settings.optimisations), image_first=not settings.question_first,
            batches=[size for size in BATCHES if size < 2 * (settings.max_batch or BATCHES[-1])],
        )  # fmt: skip
        eyes.warm_up()
        if not settings.max_batch:
            measured = eyes.measure_batches(BATCHES[-1])
            told = ", ".join(f"{size}: {1e3 * each_s:.1f}" for size, each_s in measured.items())
            rospy.loginfo("batches of up to %d; ms a picture by size: %s", eyes.best_batch, told)
        return eyes
    finally:
        gc.enable()
        gc.freeze()  # a million objects that stay: no need to visit them between verdicts


def _package() -> Path:
    return Path(rospkg.RosPack().get_path("duck_protection"))
