"""Qwen2's forward pass over a whole prompt, written for one purpose: the last token's state, as soon as possible.

Answers: what does the model know after reading this? The same numbers as transformers' Qwen2Model (the tests compare
them), with static shapes, no step that waits for data, fewer and larger operations, and in the last layer only the
rows that are asked for. It reads transformers' own weights: fused ones become views of one matrix, so both ways
stay usable and no memory is used twice. What is kept is bounded, whatever lengths come.
"""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

KEPT_SHAPES = 32  # the first ones, for ever: recorded graphs read them, and they are recorded at start
KEPT_TOKENS = 1024  # of the longest kept: a mask of 1 MB


class Prefill:
    """A Qwen2 text model, ready to read.

    Args:
        text_model: transformers' Qwen2Model.
        fused: One product for q, k and v, one for gate and up; only where the layers are plain nn.Linear.
    """

    def __init__(self, text_model: Any, *, fused: bool) -> None:
        config = text_model.config
        if set(config.layer_types) != {"full_attention"}:
            raise ValueError("only full attention is known here")
        self._layers = [_Layer(layer, config, fused=fused) for layer in text_model.layers]
        self._norm, self._rotary = text_model.norm, text_model.rotary_emb
        self._turns: Dict[Tuple[int, int], Tuple[Tensor, Tensor]] = {}
        self._masks: Dict[Tuple[int, int], Tensor] = {}

    def __call__(self, embedded: Tensor, last: Tensor, before: Optional[Tensor], keep: int) -> Tuple[Tensor, Tensor]:
        """States after the tokens at `last`, and keys and values of the first `keep` tokens.

        Args:
            embedded: (batch, tokens, width).
            last: Where each row's last token is, int64, (batch,).
            before: Keys and values of what was read before, (layers, 2, 1 or batch, kv heads, earlier, head width).
            keep: How many tokens to give keys and values of, counted from the first earlier one; 0: none.

        Returns:
            (batch, width), and (layers, 2, batch, kv heads, keep, head width).
        """
        earlier = 0 if before is None else before.shape[-2]
        turn = self._turn(embedded, earlier)
        mask = self._mask(embedded, earlier) if earlier else None
        x, kept = embedded, []
        for number, layer in enumerate(self._layers):
            past = None if before is None else before[number]
            rows = last if number == len(self._layers) - 1 else None
            x, key_value = layer(x, turn, past, mask, rows)
            if keep:
                kept.append(key_value[..., :keep, :])
        kept_all = torch.stack(kept) if keep else embedded.new_empty(0)
        return _normed(x[:, 0], self._norm), kept_all

    def _turn(self, embedded: Tensor, earlier: int) -> Tuple[Tensor, Tensor]:
        """Cosine and sine of each position's rotation, the sine's first half negative: x*cos + roll(x)*sin turns x."""
        key = (earlier, embedded.shape[1])
        if key in self._turns:
            return self._turns[key]
        positions = torch.arange(earlier, earlier + embedded.shape[1], device=embedded.device)[None]
        cos, sin = self._rotary(embedded, positions)
        sin = torch.cat([-sin[..., : sin.shape[-1] // 2], sin[..., sin.shape[-1] // 2 :]], -1)
        turn = (cos[0, :, None], sin[0, :, None])
        if len(self._turns) < KEPT_SHAPES and sum(key) <= KEPT_TOKENS:
            self._turns[key] = turn
        return turn

    def _mask(self, embedded: Tensor, earlier: int) -> Tensor:
        """Who sees whom: everything earlier, and nothing later, (tokens, earlier + tokens)."""
        key = (earlier, embedded.shape[1])
        if key in self._masks:
            return self._masks[key]
        mask = torch.ones((key[1], sum(key)), dtype=torch.bool, device=embedded.device).tril(earlier)
        if len(self._masks) < KEPT_SHAPES and sum(key) <= KEPT_TOKENS:
            self._masks[key] = mask
        return mask


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: Any, config: Any, *, fused: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._head_width = attention.head_dim
        self._norm, self._post_norm = layer.input_layernorm, layer.post_attention_layernorm
        self._out, self._down = attention.o_proj, mlp.down_proj
        self._parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._gates = (mlp.gate_proj, mlp.up_proj)
        plain = all(_is_plain(part) for part in (*self._parts, *self._gates))
        self._qkv = _fuse(self._parts) if fused and plain else None
        self._gate_up = _fuse(self._gates)[0] if fused and plain else None

    def __call__(
        self, x: Tensor, turn: Tuple[Tensor, Tensor], past: Optional[Tensor], mask: Optional[Tensor],
        rows: Optional[Tensor],
    ) -> Tuple[Tensor, Tensor]:
        """The layer's output, of all tokens or of each row's one at `rows`, and its keys and values (2, batch, ..)."""
        every = torch.arange(len(x), device=x.device)
        normed = _normed(x, self._norm)
        if rows is None:
            q, k, v = self._read(normed, turn)
        else:
            q, k, v = self._read_one(normed, turn, every, rows)
            x = x[every, rows][:, None]
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if past is not None:
            k, v = (torch.cat([old.expand(len(x), -1, -1, -1), new], 2) for old, new in zip(past, (k, v)))
        if rows is not None:
            places, earlier = torch.arange(k.shape[2], device=x.device), k.shape[2] - normed.shape[1]
            mask = (places <= (rows + earlier)[:, None])[:, None, None]
        x = x + self._out(self._attend(q.transpose(1, 2), k, v, mask))
        return x + self._mlp(_normed(x, self._post_norm)), torch.stack([k, v])

    def _read(self, x: Tensor, turn: Tuple[Tensor, Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (batch, tokens, heads, head width), the first two turned."""
        read = F.linear(x, *self._qkv) if self._qkv else torch.cat([part(x) for part in self._parts], -1)
        heads = read.unflatten(-1, (-1, self._head_width))
        turned = _turned(heads[:, :, : self._heads + self._kv_heads], *turn)
        return turned[:, :, : self._heads], turned[:, :, self._heads :], heads[:, :, -self._kv_heads :]

    def _read_one(
        self, x: Tensor, turn: Tuple[Tensor, Tensor], every: Tensor, rows: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """The same with the queries of one token a row only."""
        asked, wide = x[every, rows][:, None], self._heads * self._head_width
        if self._qkv:
            weight, bias = self._qkv
            q, kv = F.linear(asked, weight[:wide], bias[:wide]), F.linear(x, weight[wide:], bias[wide:])
        else:
            q, kv = self._parts[0](asked), torch.cat([part(x) for part in self._parts[1:]], -1)
        q, kv = (one.unflatten(-1, (-1, self._head_width)) for one in (q, kv))
        q = _turned(q, turn[0][rows][:, None], turn[1][rows][:, None])
        return q, _turned(kv[:, :, : self._kv_heads], *turn), kv[:, :, self._kv_heads :]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> Tensor:
        """(batch, tokens, heads x head width). With a mask the fast kernels want as many keys as queries."""
        shared = self._heads // self._kv_heads
        if mask is not None and shared > 1:
            k, v = (one.repeat_interleave(shared, 1) for one in (k, v))
        seen = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=mask is None and shared > 1
        )
        return seen.transpose(1, 2).flatten(2)

    def _mlp(self, x: Tensor) -> Tensor:
        if self._gate_up is not None:
            gate, up = F.linear(x, self._gate_up).chunk(2, -1)
        else:
            gate, up = (part(x) for part in self._gates)
        down: Tensor = self._down(F.silu(gate) * up)
        return down


def _normed(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def _is_plain(module: Any) -> bool:
    """A 16- or 32-bit matrix, not a quantised one in nn.Linear's clothes."""
    return type(module) is nn.Linear and type(module.weight.data) is Tensor


def _fuse(parts: Tuple[Any, ...]) -> Tuple[Tensor, Any]:
    """One matrix (and bias) of several; the parts' own become views of it."""
    biased = parts[0].bias is not None
    return _joined([part.weight for part in parts]), _joined([part.bias for part in parts]) if biased else None


def _joined(parts: List[Any]) -> Tensor:
    """The parts one under the other. When another Prefill has joined them already, that very matrix."""
    rows, first = [len(part) for part in parts], parts[0].data
    step = first.stride(0)
    places = [first.storage_offset() + step * sum(rows[:number]) for number in range(len(parts))]
    if [(part.data.untyped_storage().data_ptr(), part.data.storage_offset()) for part in parts] == [
        (first.untyped_storage().data_ptr(), place) for place in places
    ]:
        return first.as_strided((sum(rows), *first.shape[1:]), first.stride())
    joined = torch.cat([part.data for part in parts])
    for part, piece in zip(parts, joined.split(rows)):
        part.data = piece
    return joined
