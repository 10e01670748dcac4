"""What lies in a model's folder: configuration, weight files, tokenizer, picture size, fingerprint.

Answers: which files are the model, and are they readable? Loads no weights and knows no torch. Promise: no pickle is
read, files that do not belong to the model do not change its fingerprint, and whatever is missing or broken is one
LoadError that names the file and says what to do.
"""
from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from duck_protection.vlm import apple_layout
from duck_protection.vlm.base import LoadError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STRIDE_PX = 64  # picture pixels per visual token and side: the tower's total stride
USUAL_SIDE_PX = 1024  # of every FastVLM that Apple released
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"  # the first one wins, as in transformers


def read_json(file: Path) -> Dict[str, Any]:
    """The object in this file.

    Raises:
        LoadError: There is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise LoadError(f"{file.parent} has no {file.name}: this is not a model's folder") from err
    except (OSError, ValueError) as err:
        raise LoadError(f"{file} cannot be read ({err}): copy the model again") from err
    if not isinstance(content, dict):
        raise LoadError(f"{file} is not a JSON object: copy the model again")
    return content


def weight_files(folder: Path) -> List[Path]:
    """The safetensors files that are the model: one, or the shards that the index names.

    Raises:
        LoadError: One is missing, or the weights are pickle only.
    """
    if (folder / WHOLE).exists():
        return [folder / WHOLE]
    if (folder / INDEX).exists():
        shards = sorted(set(map(str, read_json(folder / INDEX).get("weight_map", {}).values())))
        gone = [name for name in shards if Path(name).name != name or not (folder / name).exists()]
        if gone or not shards:
            raise LoadError(f"{folder}: {gone[0] if gone else 'every shard'} is missing: copy or fetch the model again")
        return [folder / name for name in shards]
    pickles = [file.name for pattern in PICKLES for file in folder.glob(pattern)]
    if pickles:
        raise LoadError(f"{folder} has its weights only as pickle ({pickles[0]}), which can run code: convert them to "
                        "safetensors")
    raise LoadError(f"{folder} has no {WHOLE}, nor the index of shards: copy the model again")


def read_tokenizer(folder: Path, content: Dict[str, Any]) -> Tokenizer:
    """The tokenizer as the model's own layout has it; content is config.json's.

    Raises:
        LoadError: It cannot be read.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        if file.exists():
            tokenizer = Tokenizer.from_file(str(file))
        elif (folder / "vocab.json").exists():
            tokenizer = apple_layout.tokenizer_of_parts(folder)
        else:
            raise FileNotFoundError("no such file")
    except Exception as err:  # tokenizers raises plain Exception
        raise LoadError(f"{file} cannot be read ({err}): copy the model again") from err
    return apple_layout.with_image(tokenizer) if apple_layout.is_apples(content) else tokenizer


def side_px(folder: Path, content: Dict[str, Any]) -> int:
    """The square picture's side: from preprocessor_config.json, else from an image's number of tokens, else the usual.

    Raises:
        LoadError: It is no multiple of STRIDE_PX.
    """
    file = folder / "preprocessor_config.json"
    size = read_json(file).get("crop_size", {}) if file.exists() else {}
    tokens = int(content.get("image_seq_length") or 0)
    side = size if isinstance(size, int) else int(size.get("height", 0))
    side = side or (math.isqrt(tokens) * STRIDE_PX if tokens else USUAL_SIDE_PX)
    if side < STRIDE_PX or side % STRIDE_PX:
        raise LoadError(f"the picture's side must be a multiple of {STRIDE_PX} pixels, is {side} in {folder}")
    return side


def fingerprint(files: List[Path]) -> str:
    """First 12 hex digits of the SHA-256 over the weight files, in the order of their names."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]
