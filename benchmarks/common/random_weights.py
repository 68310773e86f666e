# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Random weights under which a network behaves as a trained one: features of one scale, a few sure objects.

Convolutions are drawn as He et al. (2015) propose. Then one picture goes through the network, and on its way
every batch norm takes the statistics of what it sees (as training does), and each last layer the mean and
deviation that it is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


@dataclass(frozen=True)
class Goal:
    """What a last layer shall give.

    deviation: standard, mean over its channels. mean: of each channel. first: what the first one, the
    background, has more. sizes: what every third and fourth of four channels, logarithms of boxes' sides,
    have more; random proposals lie on the finest map and would all be small.
    """

    deviation: float
    mean: float = 0
    first: float = 0
    sizes: float = 0

    def means(self, channels: int) -> Tensor:
        """float (channels,)"""
        means = torch.full((channels,), self.mean)
        means[0] += self.first
        means[2::4] += self.sizes
        means[3::4] += self.sizes
        return means


def draw_weights(network: nn.Module, seed: int = 1) -> None:
    """New values, in place; norms do nothing, biases are 0."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.zero_()
        elif tensor.ndim == 1:
            tensor.fill_(1)
        elif tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=random)


def settle(network: nn.Module, run: Callable[[], Any], goals: Mapping[str, Goal]) -> None:
    """Fits norms and last layers, in place.

    run: sends a picture through the network. goals: by the layer's name; a layer that works on several maps
    is fitted to the first.
    """
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            hooks.append(module.register_forward_pre_hook(_fit_norm))
        elif name in goals:
            hooks.append(module.register_forward_hook(partial(_fit_layer, fitted=[], goal=goals[name])))
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()


def _fit_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    mean, deviation = _statistics(inputs[0])
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(deviation**2)


def _fit_layer(
    layer: Any, inputs: tuple[Tensor, ...], output: Tensor, fitted: list[bool], goal: Goal
) -> Tensor:
    if not fitted:
        fitted.append(True)
        mean, deviation = _statistics(output)
        factor = goal.deviation / deviation.mean()  # one for all channels, so that classes differ
        layer.weight.mul_(factor)
        layer.bias.sub_(mean).mul_(factor).add_(goal.means(len(mean)))
    fitted_output: Tensor = layer.forward(inputs[0])
    return fitted_output


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of (N, C, …)."""
    values = x.transpose(0, 1).flatten(1)
    return values.mean(1), values.std(1).clamp(min=1e-3)
