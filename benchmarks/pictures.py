"""What every benchmark shows and asks: noisy pictures of a Duckiebot's size, and the question the robot drives by.

No ROS and no model. Promise: the same seed gives the same pictures, and no two of them are alike.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Tuple

import numpy as np
import yaml
from PIL import Image

from duck_protection.question import questions_from

ROOT = Path(__file__).resolve().parent.parent
FRAME_BYTES = 98_000  # measured on Duckiebots: 66 to 112 kB
QUALITIES = range(60, 96)
ROAD = questions_from(yaml.safe_load((ROOT / "config" / "questions.yaml").read_text(encoding="utf-8")))["road"]


@functools.lru_cache(maxsize=16)
def noisy(seed: int, count: int, frame_bytes: int = FRAME_BYTES) -> Tuple[bytes, ...]:
    """JPEGs of 640x480, each of another scene, of so many bytes within some per cent."""
    rng = np.random.default_rng(seed)
    scenes = [_scene(rng) for _ in range(count)]
    quality = min(QUALITIES, key=lambda one: abs(len(_jpeg(scenes[0], one)) - frame_bytes))
    return tuple(_jpeg(scene, quality) for scene in scenes)


def _scene(rng: np.random.Generator) -> np.ndarray:
    """Soft blots under a camera's noise; uint8, shape (480, 640, 3), RGB order."""
    coarse = Image.fromarray(rng.integers(20, 230, (12, 16, 3)).astype(np.uint8))
    smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(rgb).save(target, "JPEG", quality=quality)
    return target.getvalue()
