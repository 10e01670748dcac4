"""FastVLMs of exactly the released sizes with random weights, for measuring time and memory where no weights are.

Promise: layers, widths, heads and vocabulary are the released models' (config.json of apple/FastVLM-*); the tokenizer
is the duckling's, whose few ids are a part of that vocabulary. What such a model says means nothing, but it always says
the same. "tiny" is for rehearsals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import torch
from tokenizers import Tokenizer

from duck_protection.learning.thin import Sizes, thin_config
from duck_protection.vlm import apple_layout, chatml, folders
from duck_protection.vlm.checkpoints import Checkpoint

ROOT = Path(__file__).resolve().parent.parent
COMMON = {"hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1e6}
SIZES: Dict[str, Dict[str, Any]] = {
    "0.5B": {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
             "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "1.5B": {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
             "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "7B": {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False},
}  # fmt: skip


TINY = Sizes(side_px=128, layers=(1, 1, 1, 1, 1), widths=(8, 8, 16, 32, 32), mlp_ratio=1, text_layers=2, text_width=64)


def random_fastvlm(size: str, device: str, dtype: str) -> Checkpoint:
    """A FastVLM of this size ("tiny", or one of SIZES), made on the device in this type: no second copy anywhere. Its
    signals neither die nor explode, so that no arithmetic is cut short."""
    from transformers.models.fast_vlm.modeling_fast_vlm import FastVlmForConditionalGeneration

    tokenizer = Tokenizer.from_file(str(ROOT / "models" / "duckling" / "tokenizer.json"))
    torch.manual_seed(7)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = FastVlmForConditionalGeneration(_config(size, tokenizer)).eval()
    finally:
        torch.set_default_dtype(usual)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim >= 2 and "gamma" not in name and "embed_tokens" not in name:
                value.normal_(std=value[0].numel() ** -0.5)
            elif "gamma" in name:
                value.fill_(0.1)
    side_px = TINY.side_px if size == "tiny" else folders.USUAL_SIDE_PX
    return Checkpoint(model, tokenizer, side_px, f"FastVLM-{size}, random weights", "0", dtype)


def _config(size: str, tokenizer: Tokenizer) -> Any:
    from transformers.models.fast_vlm.configuration_fast_vlm import FastVlmConfig

    if size == "tiny":
        return thin_config(tokenizer, TINY)
    content = apple_layout.native_config({**COMMON, **SIZES[size]})
    return FastVlmConfig.from_dict({**content, "image_token_index": chatml.special_id(tokenizer, chatml.IMAGE)})
