"""Apple's own checkpoint layout ("llava_qwen2") in the words of transformers' native FastVlm classes.

Answers: which native tensor is each of Apple's, and which native configuration is theirs? The mapping was proven on
Apple's modules at full size with random weights (difference 3e-7); no released checkpoint has been loaded with it yet,
so a first real load must be watched. Promise: nothing of Apple's remote code is run or needed.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL_TYPE = "llava_qwen2"
DROPPED = "head.proj"  # the CLIP head: of no use to the language model
IMAGE_ID = 151646  # the first free row of Qwen2's vocabulary, as transformers' own conversion has it

_TOWER = r"^model\.vision_tower\.vision_tower\.model\."
_OURS = "model.vision_tower.timm_model."
KEYS = {
    _TOWER + r"patch_embed\.": _OURS + "stem.",
    _TOWER + r"network\.0\.": _OURS + "stages.0.blocks.",
    _TOWER + r"network\.1\.proj\.": _OURS + "stages.1.downsample.proj.",
    _TOWER + r"network\.2\.": _OURS + "stages.1.blocks.",
    _TOWER + r"network\.3\.proj\.": _OURS + "stages.2.downsample.proj.",
    _TOWER + r"network\.4\.": _OURS + "stages.2.blocks.",
    _TOWER + r"network\.5\.proj\.": _OURS + "stages.3.downsample.proj.",
    _TOWER + r"network\.6\.": _OURS + "stages.3.pos_emb.",
    _TOWER + r"network\.7\.": _OURS + "stages.3.blocks.",
    _TOWER + r"network\.8\.proj\.": _OURS + "stages.4.downsample.proj.",
    _TOWER + r"network\.9\.": _OURS + "stages.4.pos_emb.",
    _TOWER + r"network\.10\.": _OURS + "stages.4.blocks.",
    _TOWER + r"conv_exp\.": _OURS + "final_conv.",
    r"\.convffn\.": ".mlp.",
    r"\.lkb_reparam\.": ".reparam_conv.",
    r"\.se\.reduce\.": ".se.fc1.",
    r"\.se\.expand\.": ".se.fc2.",
    r"\.(layer_scale(?:_[12])?)$": r".\1.gamma",
    r"^model\.mm_projector\.0\.": "model.multi_modal_projector.linear_1.",
    r"^model\.mm_projector\.2\.": "model.multi_modal_projector.linear_2.",
    r"^model\.(embed_tokens|layers|norm)\.": r"model.language_model.\1.",
}
TEXT_FIELDS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "hidden_act",
)  # fmt: skip


def native_config(apples: Dict[str, Any]) -> Dict[str, Any]:
    """The native configuration of a checkpoint whose config.json is Apple's. The vocabulary keeps its size: the row
    of the image placeholder is one of its unused ones, and is never read."""
    tied = bool(apples.get("tie_word_embeddings", False))
    text = {key: apples[key] for key in TEXT_FIELDS if key in apples}
    native = {
        "model_type": "fast_vlm",
        "text_config": {"model_type": "qwen2", "tie_word_embeddings": tied, **text},
        "image_token_index": IMAGE_ID,
        "image_seq_length": 256,  # 1024 pixels a side
        "tie_word_embeddings": tied,
    }
    if "vision_config" in apples:  # not Apple's: small towers for tests
        native["vision_config"] = apples["vision_config"]
        native["image_token_index"] = apples["image_token_index"]
    return native


def tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder that has vocab.json and merges.txt only, with the image placeholder added."""
    from tokenizers import AddedToken
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

    reader = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    backend = reader.backend_tokenizer
    if backend.token_to_id("<image>") is None:
        backend.add_special_tokens([AddedToken("<image>", special=True, normalized=False)])
    return backend
