"""CEDNet written the straightforward way: what the fast paths of mmcednet.models are compared with.

Features are (N, C, H, W), LayerNorm is computed from mean and variance over dimension 1, linear layers
stand between two permutations, and every result is a new tensor. Weights have the same names, and
outputs are the same.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mmcednet.models import CEDNet
from mmcednet.models.blocks import DILATION, MIXERS, BlockSpec, MixerSpec
from mmcednet.models.depthwise import KERNEL
from mmcednet.models.layers import EPS, DropPath


def build_plain_depthwise_conv(channels: int, dilation: int = 1) -> nn.Conv2d:
    """torch's depth-wise 7x7 convolution that keeps H and W."""
    padding = KERNEL // 2 * dilation
    return nn.Conv2d(channels, channels, KERNEL, 1, padding, dilation, channels)


class PlainLayerNorm2d(nn.Module):
    """LayerNorm over the channels of (N, C, H, W), from its definition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + EPS)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class PlainMLP(nn.Module):
    """Linear, GELU, linear, layer scale, between two permutations of (N, C, H, W)."""

    def __init__(self, channels: int, layer_scale: float) -> None:
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale)) if layer_scale > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.pwconv2(self.act(self.pwconv1(x.permute(0, 2, 3, 1))))
        if self.gamma is not None:
            x = self.gamma * x
        return x.permute(0, 3, 1, 2)


class PlainCEDBlock(nn.Module):
    """mmcednet.models.blocks.CEDBlock."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.dwconv = build_plain_depthwise_conv(spec.channels)
        self.norm = PlainLayerNorm2d(spec.channels)
        self.mlp = PlainMLP(spec.channels, spec.layer_scale)
        self.drop_path = DropPath(spec.drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mlp(self.norm(self.dwconv(x))))


class PlainLongRangeCEDBlock(nn.Module):
    """mmcednet.models.blocks.LongRangeCEDBlock."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.dwconv1 = build_plain_depthwise_conv(spec.channels)
        self.norm1 = PlainLayerNorm2d(spec.channels)
        self.dwconv2 = build_plain_depthwise_conv(spec.channels, DILATION)
        self.norm2 = PlainLayerNorm2d(spec.channels)
        self.act = nn.GELU()
        self.mlp = PlainMLP(spec.channels, spec.layer_scale)
        self.drop_path = DropPath(spec.drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm1(self.dwconv1(x))) + x
        z = self.act(self.norm2(self.dwconv2(y))) + y
        return x + self.drop_path(self.mlp(z))


MIXERS['plain'] = MixerSpec(PlainCEDBlock, PlainLongRangeCEDBlock, norm=PlainLayerNorm2d)


def build_plain_cednet(*args: Any, **settings: Any) -> CEDNet:
    """Build CEDNet with these arguments and depth-wise convolutions, the straightforward way.

    It keeps all activations for the backward pass.
    """
    return CEDNet(*args, mixer='plain', recompute='none', **settings)
