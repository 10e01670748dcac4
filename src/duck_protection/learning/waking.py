"""Wakes a new tower: weights through which a picture is still visible at the other end.

The re-parameterised tower has no norms between its convolutions, and the library's start (every weight about 0.02)
lets a picture fade by 23 orders of magnitude on its way through: such a tower learns nothing for a thousand steps.
Promise: afterwards every convolution's output has unit spread on the given pictures, and nothing else is changed. A
block that is added to a tower which can see already (add_block) leaves what passes through it nearly as it was.
"""
from __future__ import annotations

from typing import Any, Tuple, Union

import torch
from torch import Tensor, nn

STAYS = ("token_mixer.reparam_conv", "pos_emb.reparam_conv")  # x + convolution(x), folded into one kernel: begin near x
LAYER_SCALE = 0.2  # a block's weight beside its shortcut; the library's 1e-5 is meant for towers of 40 blocks
ADDED_SCALE = 0.01  # the weight of a block that a trained tower is given: it learns, and disturbs nothing


@torch.no_grad()
def wake(tower: nn.Module, pixels: Tensor) -> None:
    """New weights for every convolution, measured on these pictures in one pass ("all you need is a good init",
    arXiv 1511.06422).

    Args:
        pixels: float32, shape (batch, 3, side, side), as the tower will see them.
    """
    hooks = []
    for name, module in tower.named_modules():
        if isinstance(module, nn.Conv2d):
            _restart(module, stays=name.endswith(STAYS))
            if not name.endswith(STAYS) and ".se." not in name:
                hooks.append(module.register_forward_hook(_to_unit_spread))
    for name, value in tower.named_parameters():
        if name.endswith(".gamma"):
            value.fill_(LAYER_SCALE)
    was_training = tower.training
    tower.eval()(pixels)
    tower.train(was_training)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def add_block(block: nn.Module) -> None:
    """First weights of a block that stands between two trained ones: its shortcut, and next to nothing beside it."""
    for name, module in block.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            _restart(module, stays=name.endswith(STAYS), noise=0.0)
    for name, value in block.named_parameters():
        if name.endswith(".gamma"):
            value.fill_(ADDED_SCALE)


def _restart(layer: Union[nn.Conv2d, nn.Linear], *, stays: bool, noise: float = 0.1) -> None:
    """New weights; of a convolution that stays near x: x, and this share of the new weights."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if stays and isinstance(layer, nn.Conv2d):
        middle = layer.kernel_size[0] // 2
        layer.weight *= noise
        layer.weight[:, 0, middle, middle] += 1


def _to_unit_spread(convolution: nn.Module, _: Tuple[Any, ...], out: Tensor) -> Tensor:
    """Scale each channel's kernel, and centre it where there is a bias; the next layer then sees the new output."""
    assert isinstance(convolution, nn.Conv2d)
    spread = out.std((0, 2, 3)).clamp_min(1e-6)
    convolution.weight /= spread[:, None, None, None]
    if convolution.bias is None:
        return out / spread[None, :, None, None]
    mean = out.mean((0, 2, 3))
    convolution.bias.copy_((convolution.bias - mean) / spread)
    return (out - mean[None, :, None, None]) / spread[None, :, None, None]
