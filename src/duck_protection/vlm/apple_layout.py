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
DROPPED = "model.vision_tower.timm_model.head.proj"  # the CLIP head: of no use to the language model
IMAGE, IMAGE_ID = "<image>", 151646  # the first free row of Qwen2's vocabulary, as transformers' own conversion has it

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
    _TOWER + r"head\.proj$": DROPPED,
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


MEANT = {  # what the code here takes for granted; a checkpoint that says otherwise is another model
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_tower": "mobileclip_l_1024",
    "image_aspect_ratio": "pad",
    "mm_patch_merge_type": "flat",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "use_sliding_window": False,
}


def is_apples(content: Dict[str, Any]) -> bool:
    """Whether this config.json is Apple's."""
    return bool(content.get("model_type") == MODEL_TYPE)


def native_config(apples: Dict[str, Any]) -> Dict[str, Any]:
    """The native configuration of a checkpoint whose config.json is Apple's. The vocabulary keeps its size: the row
    of the image placeholder is one of its unused ones, and is never read.

    Raises:
        ValueError: It says something of which the code here knows nothing.
    """
    for key, meant in MEANT.items():
        if apples.get(key, meant) != meant:
            raise ValueError(f"{key} is {apples[key]!r}, only {meant!r} is known here")
    tied = bool(apples.get("tie_word_embeddings", False))
    text = {key: apples[key] for key in TEXT_FIELDS if key in apples}
    native = {
        "model_type": "fast_vlm",
        "text_config": {"model_type": "qwen2", "tie_word_embeddings": tied, **text},
        "image_token_index": IMAGE_ID,
        "image_seq_length": 256,  # 1024 pixels a side
        "tie_word_embeddings": tied,
    }
    ours = ("vision_config", "image_token_index")  # not Apple's: small towers and vocabularies, for tests
    return {**native, **{key: apples[key] for key in ours if key in apples}}


def tokenizer_of_parts(folder: Path) -> Tokenizer:
    """The tokenizer of a folder that has vocab.json and merges.txt only."""
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

    return Qwen2Tokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).backend_tokenizer


def with_image(tokenizer: Tokenizer) -> Tokenizer:
    """The same with the image placeholder, which Apple's code splits out of the text before it tokenizes."""
    from tokenizers import AddedToken

    if tokenizer.token_to_id(IMAGE) is None:
        tokenizer.add_special_tokens([AddedToken(IMAGE, special=True, normalized=False)])
    return tokenizer
