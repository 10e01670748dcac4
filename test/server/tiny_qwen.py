"""A tiny random Qwen2.5-VL as GGUF files, so that a real llama-server has something to serve.

Answers nothing about quality: the weights are noise. Needs the `gguf` package and no checkpoint of anybody's.
Names and shapes are those that llama.cpp's converter writes for Qwen2.5-VL.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Tuple

import numpy as np

TEXT, VISION, LAYERS, VISION_LAYERS, HEADS, KV_HEADS, PATCH = 128, 64, 2, 4, 4, 2, 14
CONTEXT = 4096


def write(folder: Path, tokenizer: Any) -> Tuple[Path, Path]:
    """The text model's file and the vision file."""
    return _text(folder / "tiny-qwen.gguf", tokenizer), _vision(folder / "mmproj-tiny-qwen.gguf")


def _noise(writer: Any, seed: int) -> Callable[..., None]:
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int, ones: bool = False) -> None:
        data = np.ones(shape) if ones else random.normal(0, 0.05, shape)
        writer.add_tensor(name, data.astype(np.float32))

    return add


def _save(writer: Any, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _text(path: Path, tokenizer: Any) -> Path:
    import gguf

    writer = gguf.GGUFWriter(path, "qwen2vl")
    writer.add_name("tiny-qwen")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(TEXT)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * TEXT)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_sections([4, 6, 6, 0])
    writer.add_layer_norm_rms_eps(1e-6)
    rows = _tokens(writer, gguf, tokenizer)
    add, kv = _noise(writer, 1), TEXT // HEADS * KV_HEADS
    add("token_embd.weight", rows, TEXT)
    add("output_norm.weight", TEXT, ones=True)
    add("output.weight", rows, TEXT)
    for number in range(LAYERS):
        block = f"blk.{number}."
        add(block + "attn_norm.weight", TEXT, ones=True)
        add(block + "ffn_norm.weight", TEXT, ones=True)
        for name, width in (("attn_q", TEXT), ("attn_k", kv), ("attn_v", kv)):
            add(f"{block}{name}.weight", width, TEXT)
            add(f"{block}{name}.bias", width)
        add(block + "attn_output.weight", TEXT, TEXT)
        add(block + "ffn_gate.weight", 2 * TEXT, TEXT)
        add(block + "ffn_up.weight", 2 * TEXT, TEXT)
        add(block + "ffn_down.weight", TEXT, 2 * TEXT)
    return _save(writer, path)


def _tokens(writer: Any, gguf: Any, tokenizer: Any) -> int:
    """The vocabulary; <image> becomes Qwen's own markup."""
    content = json.loads(tokenizer.to_str())
    renamed = {"<image>": "<|image_pad|>"}
    size = tokenizer.get_vocab_size()
    tokens = [renamed.get(tokenizer.id_to_token(number), tokenizer.id_to_token(number)) for number in range(size)]
    tokens += ["<|vision_start|>", "<|vision_end|>"]
    rows = -(-len(tokens) // 64) * 64
    # Half characters from random weights make llama-server answer 500, so tokens beyond ASCII say nothing.
    silent = [token.startswith("<|") or not all(map(_ascii, token)) for token in tokens]
    kinds = [gguf.TokenType.CONTROL if quiet else gguf.TokenType.NORMAL for quiet in silent]
    kinds += [gguf.TokenType.UNUSED] * (rows - len(tokens))
    tokens += [f"[PAD{number}]" for number in range(len(tokens), rows)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(
        "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
        "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return rows


def _ascii(letter: str) -> bool:
    """Byte-level BPE writes the bytes up to the space as the letters from U+0100 to U+0120."""
    return letter < "\x7f" or "\u0100" <= letter <= "\u0120"


def _vision(path: Path) -> Path:
    import gguf

    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "qwen2.5vl_merger")
    writer.add_bool("clip.use_silu", True)
    numbers = {
        "image_size": 560, "patch_size": PATCH, "embedding_length": VISION, "feed_forward_length": 2 * VISION,
        "block_count": VISION_LAYERS, "attention.head_count": 4, "projection_dim": TEXT, "spatial_merge_size": 2,
    }  # fmt: skip
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_uint32("clip.vision.n_wa_pattern", 2)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    add = _noise(writer, 2)
    add("v.patch_embd.weight", VISION, 3, PATCH, PATCH)
    add("v.patch_embd.weight.1", VISION, 3, PATCH, PATCH)
    add("v.post_ln.weight", VISION, ones=True)
    for number in range(VISION_LAYERS):
        block = f"v.blk.{number}."
        add(block + "ln1.weight", VISION, ones=True)
        add(block + "ln2.weight", VISION, ones=True)
        for name, out, width in (
            ("attn_q", VISION, VISION), ("attn_k", VISION, VISION), ("attn_v", VISION, VISION),
            ("attn_out", VISION, VISION), ("ffn_gate", 2 * VISION, VISION), ("ffn_up", 2 * VISION, VISION),
            ("ffn_down", VISION, 2 * VISION),
        ):  # fmt: skip
            add(f"{block}{name}.weight", out, width)
            add(f"{block}{name}.bias", out)
    for name, out in (("mm.0", 4 * VISION), ("mm.2", TEXT)):
        add(f"{name}.weight", out, 4 * VISION)
        add(f"{name}.bias", out)
    return _save(writer, path)
