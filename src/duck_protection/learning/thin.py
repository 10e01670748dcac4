"""The duckling's body: FastVLM in every respect, thin enough for two CPU cores.

Answers: which configuration has the model that is trained here? The tower is FastVLM's own fastvit_mci3 in its
re-parameterised form, the projector and the Qwen2 text model are transformers' own; only the sizes differ (two and
a half million parameters). Widths are those of a first trial: 98 % of 800 rendered frames right after 900 steps of 16.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict

from tokenizers import Tokenizer
from transformers.models.fast_vlm.configuration_fast_vlm import FastVlmConfig

from duck_protection.vlm import chatml

STRIDE_PX = 64  # picture pixels per visual token and side: the tower's total stride


@dataclass(frozen=True)
class Sizes:
    """What makes a FastVLM thin or thick."""

    side_px: int = 512
    layers: tuple[int, ...] = (1, 2, 4, 4, 1)
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    mlp_ratio: int = 3
    text_layers: int = 3
    text_width: int = 128

    @property
    def image_tokens(self) -> int:
        """How many visual tokens one picture becomes."""
        return (self.side_px // STRIDE_PX) ** 2


DUCKLING = Sizes()


def thin_config(tokenizer: Tokenizer, sizes: Sizes = DUCKLING) -> FastVlmConfig:
    """The configuration of a FastVLM of these sizes that reads with this tokenizer."""
    ends = [chatml.special_id(tokenizer, token) for token in chatml.END_TOKENS]
    return FastVlmConfig(
        vision_config=_vision(sizes),
        text_config={
            "model_type": "qwen2",
            "vocab_size": -(-tokenizer.get_vocab_size() // 64) * 64,
            "hidden_size": sizes.text_width,
            "intermediate_size": 3 * sizes.text_width,
            "num_hidden_layers": sizes.text_layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
            "eos_token_id": ends,
            "bos_token_id": None,
        },
        image_token_index=chatml.special_id(tokenizer, chatml.IMAGE),
        image_seq_length=sizes.image_tokens,
        tie_word_embeddings=True,
    )


def _vision(sizes: Sizes) -> Dict[str, Any]:
    return {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "do_pooling": True,
        "global_pool": "avg",
        "hidden_size": 2 * sizes.widths[-1],  # fastvit's last convolution doubles the width
        "initializer_range": 0.02,
        "model_args": {
            "inference_mode": True,
            "layers": list(sizes.layers),
            "embed_dims": list(sizes.widths),
            "mlp_ratios": [sizes.mlp_ratio] * len(sizes.layers),
        },
    }
