"""What Apple's FastVLM computes, written out with torch.nn.functional straight from their tensors' names.

Independent of timm, of transformers and of everything under duck_protection: the yardstick for what is loaded.
Tower: S. Vasu et al., FastVLM (arXiv 2412.13303) and FastViT (2303.14189) in inference mode; text: Qwen2.
"""

from __future__ import annotations

from typing import Dict, List

import torch
import torch.nn.functional as F  # noqa: N812
from apple_kit import TOWER, Size

Weights = Dict[str, torch.Tensor]
IMAGE = -200  # LLaVA's IMAGE_TOKEN_INDEX


class Reference:
    """Apple's forward pass, batch of one, float32."""

    def __init__(self, weights: Weights, size: Size) -> None:
        self._w, self._size = weights, size

    def logits(self, ids: List[int], pixels: torch.Tensor) -> torch.Tensor:
        """For every position of the joined sequence, shape (positions, vocabulary); one id is IMAGE, pixels 0 to 1."""
        at = ids.index(IMAGE)
        text = self._w["model.embed_tokens.weight"][[max(number, 0) for number in ids]]
        x = torch.cat([text[:at], self._project(self.features(pixels)), text[at + 1 :]])
        for layer in range(self._size.layers):
            name = f"model.layers.{layer}"
            x = x + self._attention(name, self._norm(f"{name}.input_layernorm", x))
            y = self._norm(f"{name}.post_attention_layernorm", x)
            gate = F.silu(self._linear(f"{name}.mlp.gate_proj", y))
            x = x + self._linear(f"{name}.mlp.down_proj", gate * self._linear(f"{name}.mlp.up_proj", y))
        head = "model.embed_tokens" if self._size.tied else "lm_head"
        return self._linear(head, self._norm("model.norm", x))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """conv_exp's output of (3, side, side) as (tokens, channels), row by row."""
        x = pixels[None]
        for place, (stride, pad, one_each) in enumerate([(2, 1, False), (2, 1, True), (1, 0, False)]):
            x = F.gelu(self._conv(f"patch_embed.{place}.reparam_conv", x, stride, pad, one_each=one_each))
        place = 0
        for stage, depth in enumerate(self._size.tower_layers):
            if stage:
                x = F.gelu(self._conv(f"network.{place}.proj.0.lkb_reparam", x, 2, 3, one_each=False, halves=True))
                x = F.gelu(self._conv(f"network.{place}.proj.1.reparam_conv", x, 1, 0))
                place += 1
            if stage > 2:
                x = self._conv(f"network.{place}.reparam_conv", x, 1, 3, one_each=True)
                place += 1
            for block in range(depth):
                x = self._block(f"network.{place}.{block}", x, attention=stage > 2)
            place += 1
        x = self._conv("conv_exp.reparam_conv", x, 1, 1, halves=True)
        squeezed = F.relu(self._conv("conv_exp.se.reduce", x.mean((2, 3), keepdim=True), 1, 0))
        x = F.gelu(x * torch.sigmoid(self._conv("conv_exp.se.expand", squeezed, 1, 0)))
        return x[0].flatten(1).T

    def _block(self, name: str, x: torch.Tensor, *, attention: bool) -> torch.Tensor:
        if attention:
            mixed = self._tower_attention(f"{name}.token_mixer", self._channel_norm(f"{name}.norm", x))
            x = x + self._tower(f"{name}.layer_scale_1") * mixed
            return x + self._tower(f"{name}.layer_scale_2") * self._convffn(f"{name}.convffn", x)
        x = self._conv(f"{name}.token_mixer.reparam_conv", x, 1, 1, one_each=True)
        return x + self._tower(f"{name}.layer_scale") * self._convffn(f"{name}.convffn", x)

    def _convffn(self, name: str, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        x = F.conv2d(x, self._tower(f"{name}.conv.conv.weight"), padding=3, groups=channels)
        mean, var, gain, bias = (
            self._tower(f"{name}.conv.bn.{part}")[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / torch.sqrt(var + 1e-5) * gain + bias
        return self._conv(f"{name}.fc2", F.gelu(self._conv(f"{name}.fc1", x, 1, 0)), 1, 0)

    def _channel_norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        gain, bias = self._tower(f"{name}.weight")[:, None, None], self._tower(f"{name}.bias")[:, None, None]
        return (x - mean) / torch.sqrt(var + 1e-5) * gain + bias

    def _tower_attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        _, channels, rows, columns = x.shape
        flat = x[0].flatten(1).T  # (positions, channels)
        q, k, v = (flat @ self._tower(f"{name}.qkv.weight").T).split(channels, dim=1)
        heads = []
        for start in range(0, channels, 32):  # heads of 32
            part = slice(start, start + 32)
            heads.append(torch.softmax(q[:, part] @ k[:, part].T * 32**-0.5, -1) @ v[:, part])
        out = torch.cat(heads, 1) @ self._tower(f"{name}.proj.weight").T + self._tower(f"{name}.proj.bias")
        return out.T.reshape(1, channels, rows, columns)

    def _project(self, features: torch.Tensor) -> torch.Tensor:
        return self._linear("model.mm_projector.2", F.gelu(self._linear("model.mm_projector.0", features)))

    def _attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        width, kv_heads = self._size.head_width, self._size.kv_heads
        q = self._rotate(self._linear(f"{name}.self_attn.q_proj", x).unflatten(1, (-1, width)))
        k = self._rotate(self._linear(f"{name}.self_attn.k_proj", x).unflatten(1, (-1, width)))
        v = self._linear(f"{name}.self_attn.v_proj", x).unflatten(1, (-1, width))
        future = torch.ones(len(x), len(x)).triu(1).bool()
        heads = []
        for head in range(self._size.heads):
            shared = head * kv_heads // self._size.heads
            scores = (q[:, head] @ k[:, shared].T * width**-0.5).masked_fill(future, -torch.inf)
            heads.append(torch.softmax(scores, -1) @ v[:, shared])
        return self._linear(f"{name}.self_attn.o_proj", torch.cat(heads, 1))

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions, base 1e6: component i turns with component i + half."""
        half = x.shape[-1] // 2
        speed = 1e6 ** (-torch.arange(half) / half)
        turn = (torch.arange(len(x))[:, None] * speed)[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * turn.cos() - b * turn.sin(), b * turn.cos() + a * turn.sin()], -1)

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self._w[f"{name}.weight"]

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self._w[f"{name}.weight"], self._w.get(f"{name}.bias"))

    def _tower(self, name: str) -> torch.Tensor:
        return self._w[TOWER + name]

    def _conv(
        self, name: str, x: torch.Tensor, stride: int, pad: int, *, one_each: bool = False, halves: bool = False
    ) -> torch.Tensor:
        """one_each: depthwise; halves: depthwise with two results for each channel, which the strided ones have."""
        weight, bias = self._tower(f"{name}.weight"), self._tower(f"{name}.bias")
        groups = x.shape[1] if one_each or halves else 1
        return F.conv2d(x, weight, bias, stride=stride, padding=pad, groups=groups)

