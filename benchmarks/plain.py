"""CEDNet written the straightforward way: what the fast paths of mmcednet.models are compared with.

Features stay (N, C, H, W) in memory, LayerNorm is computed from mean and variance over dimension 1, and
linear layers stand between two permutations. Weights have the same names, and outputs are the same.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mmcednet.models import CEDNet
from mmcednet.models.layers import LayerNorm2d


class PlainLayerNorm2d(nn.Module):
    """LayerNorm over the channels of (N, C, H, W), from its definition."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def build_plain_cednet(*args: Any, **settings: Any) -> CEDNet:
    """Build CEDNet with these arguments, the straightforward way; it keeps all activations."""
    model = CEDNet(*args, recompute='none', **settings)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, LayerNorm2d):
                setattr(module, name, PlainLayerNorm2d(child))
    return model
