"""Checkpoints in Apple's own layout, written from nothing: their key names, their configurations, random weights.

Names and shapes are those of apple/ml-fastvlm's modules (mci.py in inference mode, llava_qwen2), written down here a
second time on purpose: nothing of duck_protection.vlm.apple_layout is used, so that a mistake there shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TOWER = "model.vision_tower.vision_tower.model."
SPECIALS = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
WORDS = ("Clear", "Slow", "Stop", "Yes", "No", "yes", "no")
CORPUS = ("You are a helpful assistant. system user assistant Is a duck in the way? Yes No",) * 9 + WORDS * 20


@dataclass(frozen=True)
class Size:
    """One of the released models: true depth, heads and vocabulary; a head's width is a toy's."""

    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    head_width: int = 4
    tower_layers: Tuple[int, ...] = (2, 12, 24, 4, 2)
    tower_widths: Tuple[int, ...] = (4, 8, 16, 32, 64)

    @property
    def width(self) -> int:
        return self.heads * self.head_width


SIZES = {  # config.json of apple/FastVLM-0.5B, -1.5B, -7B
    "0.5B": Size(24, 14, 2, 151936, True),
    "1.5B": Size(28, 12, 2, 151936, True),
    "7B": Size(28, 28, 4, 152064, False),
}


def config_of(size: Size) -> Dict[str, object]:
    """Apple's config.json, with what is of no use to us left in. vision_config is ours: a toy's widths."""
    return {
        "_name_or_path": "checkpoints/llava-qwen", "architectures": ["LlavaQwen2ForCausalLM"],
        "auto_map": {"AutoConfig": "llava_qwen.LlavaConfig", "AutoModelForCausalLM": "llava_qwen.LlavaQwen2"},
        "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu", "hidden_size": size.width, "image_aspect_ratio": "pad", "image_grid_pinpoints": None,
        "initializer_range": 0.02, "intermediate_size": 3 * size.width, "max_position_embeddings": 32768,
        "max_window_layers": 28, "mm_hidden_size": 2 * size.tower_widths[-1], "mm_patch_merge_type": "flat",
        "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False, "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2, "mm_vision_tower": "mobileclip_l_1024",
        "model_type": "llava_qwen2", "num_attention_heads": size.heads, "num_hidden_layers": size.layers,
        "num_key_value_heads": size.kv_heads, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
        "tie_word_embeddings": size.tied, "tokenizer_model_max_length": 8192, "torch_dtype": "bfloat16",
        "transformers_version": "4.39.3", "use_cache": True, "use_mm_proj": True, "use_sliding_window": False,
        "vocab_size": size.vocab,
        "vision_config": {
            "model_type": "timm_wrapper", "architecture": "fastvit_mci3", "do_pooling": True, "global_pool": "avg",
            "hidden_size": 2 * size.tower_widths[-1],
            "model_args": {
                "inference_mode": True, "layers": list(size.tower_layers), "embed_dims": list(size.tower_widths),
            },
        },
    }  # fmt: skip


Shape = Tuple[int, ...]


def tower_shapes(layers: Sequence[int], widths: Sequence[int]) -> Iterator[Tuple[str, Shape]]:
    """Every tensor of FastViTHD in inference mode, by Apple's names without their prefix."""
    first = widths[0]
    for place, (groups_in, side) in enumerate([(3, 3), (1, 3), (first, 1)]):
        yield from _conv(f"patch_embed.{place}.reparam_conv", first, groups_in, side)
    place = 0
    for stage, (depth, width) in enumerate(zip(layers, widths)):
        if stage:
            yield from _conv(f"network.{place}.proj.0.lkb_reparam", width, 1, 7)
            yield from _conv(f"network.{place}.proj.1.reparam_conv", width, width, 1)
            place += 1
        if stage > 2:
            yield from _conv(f"network.{place}.reparam_conv", width, 1, 7)
            place += 1
        for block in range(depth):
            yield from _block(f"network.{place}.{block}", width, attention=stage > 2)
        place += 1
    last = 2 * widths[-1]
    yield from _conv("conv_exp.reparam_conv", last, 1, 3)
    yield from _conv("conv_exp.se.reduce", last // 16, last, 1)
    yield from _conv("conv_exp.se.expand", last, last // 16, 1)
    yield "head.proj", (last, 768)


def _conv(name: str, wide_out: int, wide_in: int, side: int) -> Iterator[Tuple[str, Shape]]:
    yield f"{name}.weight", (wide_out, wide_in, side, side)
    yield f"{name}.bias", (wide_out,)


def _block(name: str, width: int, *, attention: bool) -> Iterator[Tuple[str, Shape]]:
    if attention:
        for scale in ("layer_scale_1", "layer_scale_2"):
            yield f"{name}.{scale}", (width, 1, 1)
        yield f"{name}.norm.weight", (width,)
        yield f"{name}.norm.bias", (width,)
        yield f"{name}.token_mixer.qkv.weight", (3 * width, width)
        yield f"{name}.token_mixer.proj.weight", (width, width)
        yield f"{name}.token_mixer.proj.bias", (width,)
    else:
        yield f"{name}.layer_scale", (width, 1, 1)
        yield from _conv(f"{name}.token_mixer.reparam_conv", width, 1, 3)
    yield f"{name}.convffn.conv.conv.weight", (width, 1, 7, 7)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.convffn.conv.bn.{part}", (width,)
    yield f"{name}.convffn.conv.bn.num_batches_tracked", ()
    yield from _conv(f"{name}.convffn.fc1", 4 * width, width, 1)
    yield from _conv(f"{name}.convffn.fc2", width, 4 * width, 1)


def text_shapes(size: Size) -> Iterator[Tuple[str, Shape]]:
    """Every tensor of the projector and of Qwen2."""
    width, kv = size.width, size.kv_heads * size.head_width
    yield "model.mm_projector.0.weight", (width, 2 * size.tower_widths[-1])
    yield "model.mm_projector.2.weight", (width, width)
    for place in (0, 2):
        yield f"model.mm_projector.{place}.bias", (width,)
    yield "model.embed_tokens.weight", (size.vocab, width)
    yield "model.norm.weight", (width,)
    for layer in range(size.layers):
        name = f"model.layers.{layer}"
        for part, rows in (("q", width), ("k", kv), ("v", kv)):
            yield f"{name}.self_attn.{part}_proj.weight", (rows, width)
            yield f"{name}.self_attn.{part}_proj.bias", (rows,)
        yield f"{name}.self_attn.o_proj.weight", (width, width)
        yield f"{name}.mlp.gate_proj.weight", (3 * width, width)
        yield f"{name}.mlp.up_proj.weight", (3 * width, width)
        yield f"{name}.mlp.down_proj.weight", (width, 3 * width)
        yield f"{name}.input_layernorm.weight", (width,)
        yield f"{name}.post_attention_layernorm.weight", (width,)
    if not size.tied:
        yield "lm_head.weight", (size.vocab, width)


def random_weights(shapes: Iterator[Tuple[str, Shape]], seed: int) -> Dict[str, torch.Tensor]:
    """Numbers under which a signal neither dies nor explodes over the depth, and every tensor matters."""
    chance, weights = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes:
        noise = torch.randn(shape, generator=chance)
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            weights[name] = 0.5 + noise.abs()
        elif len(shape) >= 2 and not name.rpartition(".")[2].startswith("layer_scale"):
            weights[name] = noise * noise[0].numel() ** -0.5 if "embed_tokens" not in name else noise * 0.5
        elif name.endswith((".bias", "running_mean")):
            weights[name] = 0.1 * noise
        else:  # norms and layer scales
            weights[name] = 0.5 + 0.1 * noise
    return weights


def apple_weights(size: Size, seed: int = 5) -> Dict[str, torch.Tensor]:
    tower = ((TOWER + name, shape) for name, shape in tower_shapes(size.tower_layers, size.tower_widths))
    return {**random_weights(tower, seed), **random_weights(text_shapes(size), seed + 1)}


def write_tokenizer(folder: Path) -> None:
    """vocab.json and merges.txt as Qwen2 has them: markup above a vocabulary of 151643, most of it filled up."""
    small = Tokenizer(models.BPE())
    small.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    small.train_from_iterator(CORPUS, trainer)
    model = json.loads(small.to_str())["model"]
    vocabulary = dict(model["vocab"])
    vocabulary.update({f"ġfiller{number}": number for number in range(len(vocabulary), 151643)})
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "added_tokens.json").write_text(json.dumps(SPECIALS))
    added = {str(number): {"content": token, "lstrip": False, "normalized": False, "rstrip": False,
                           "single_word": False, "special": True} for token, number in SPECIALS.items()}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "added_tokens_decoder": added, "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None, "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 8192,
        "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }))  # fmt: skip


def write_weights(folder: Path, weights: Dict[str, torch.Tensor], shards: int = 1) -> None:
    """One file, or several with the index that names them."""
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names: List[str] = sorted(weights)
    index = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard::shards]
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    total = sum(weight.numel() * weight.element_size() for weight in weights.values())
    content = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def write_apple(folder: Path, size: Size, weights: Dict[str, torch.Tensor], shards: int = 1) -> Path:
    """The whole folder as the hub has it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(size)))
    generation = {"do_sample": True, "eos_token_id": 151645, "temperature": None, "top_p": None}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    write_tokenizer(folder)
    write_weights(folder, weights, shards)
    return folder
