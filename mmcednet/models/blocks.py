"""The CED block and its long-range variant for each token mixer (paper, section 3.3 and Figure 3).

A block keeps the shape of its input, (N, C, H, W). ``FAMILIES`` names the token mixers that there are
and gives, for each, the plain block, the one that takes its place at the coarsest level, and what
normalises and activates in the rest of the network.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import EPS, DropPath, LayerNorm2d
from .mixers import CrossWindowAttention, WindowAttention

DILATION = 3


def depthwise_conv(channels: int, dilation: int = 1) -> nn.Conv2d:
    """Depth-wise 7x7 convolution that keeps H and W."""
    return nn.Conv2d(channels, channels, 7, padding=3 * dilation, dilation=dilation, groups=channels)


class MLP(nn.Module):
    """Linear C -> 4C, GELU, Linear 4C -> C, scaled per channel by ``gamma`` (layer scale).

    Takes and returns (N, H, W, C): on contiguous channels a linear is one matrix product, faster
    than a 1x1 convolution.
    """

    def __init__(self, channels: int, layer_scale: float = 0.0) -> None:
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale)) if layer_scale > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.pwconv2(self.act(self.pwconv1(x)))
        return x if self.gamma is None else self.gamma * x


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)  # (N, H, W, C)


def channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)  # (N, C, H, W)


class CEDBlock(nn.Module):
    """x + DropPath(gamma * MLP(LN(DW7x7(x)))), for (N, C, H, W).

    Args:
        channels: C.
        drop_path: Rate of stochastic depth. Default: 0.
        layer_scale: Initial value of gamma; 0 leaves gamma out. Default: 1e-6.
    """

    def __init__(self, channels: int, drop_path: float = 0.0, layer_scale: float = 1e-6) -> None:
        super().__init__()
        self.dwconv = depthwise_conv(channels)
        self.norm = LayerNorm2d(channels)
        self.mlp = MLP(channels, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x))
        return x + self.drop_path(channels_first(self.mlp(channels_last(y))))


class LRCEDBlock(nn.Module):
    """The long-range block: a plain and a dilated depth-wise 7x7 convolution, then the MLP.

    y = GELU(LN(DW7x7(x))) + x; z = GELU(LN(DW7x7 dilated(y))) + y; x + DropPath(gamma * MLP(z)).
    Arguments as for :class:`CEDBlock`.
    """

    def __init__(self, channels: int, drop_path: float = 0.0, layer_scale: float = 1e-6) -> None:
        super().__init__()
        self.dwconv1 = depthwise_conv(channels)
        self.norm1 = LayerNorm2d(channels)
        self.dwconv2 = depthwise_conv(channels, DILATION)
        self.norm2 = LayerNorm2d(channels)
        self.act = nn.GELU()
        self.mlp = MLP(channels, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm1(self.dwconv1(x))) + x
        z = self.act(self.norm2(self.dwconv2(y))) + y
        return x + self.drop_path(channels_first(self.mlp(channels_last(z))))


class ConvCEDBlock(nn.Module):
    """ResNet's bottleneck turned inside out: conv3x3, conv1x1 to 4C, conv1x1 back, BN, ReLU.

    Args:
        channels: C.
        drop_path: Rate of stochastic depth. Default: 0.
    """

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * channels)
        self.conv3 = nn.Conv2d(4 * channels, channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()
        self.drop_path = DropPath(drop_path)

    def mix(self, x: Tensor) -> Tensor:
        return self.act(self.norm1(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm2(self.conv2(self.mix(x))))
        return self.act(x + self.drop_path(self.norm3(self.conv3(y))))


class LRConvCEDBlock(ConvCEDBlock):
    """With a dilated depth-wise 7x7 convolution after the 3x3 one, each with a shortcut of its own."""

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__(channels, drop_path)
        self.dwconv = depthwise_conv(channels, DILATION)
        self.dwconv_norm = nn.BatchNorm2d(channels)

    def mix(self, x: Tensor) -> Tensor:
        x = super().mix(x) + x
        return self.act(self.dwconv_norm(self.dwconv(x))) + x


class AttentionCEDBlock(nn.Module):
    """x + DropPath(mixer(LN(x))), then x + DropPath(MLP(LN(x))): a Transformer's block.

    Args:
        channels: C.
        mixer: Maps (N, H, W, C) to the same shape.
        drop_path: Rate of stochastic depth, of each half. Default: 0.
    """

    def __init__(self, channels: int, mixer: nn.Module, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=EPS)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.mlp = MLP(channels)
        self.drop_path = DropPath(drop_path)

    def mix(self, x: Tensor) -> Tensor:
        return self.mixer(x)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(x)
        x = x + self.drop_path(self.mix(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return channels_first(x)


class LRAttentionCEDBlock(AttentionCEDBlock):
    """With a dilated depth-wise 7x7 convolution after the mixer, each with a shortcut of its own."""

    def __init__(self, channels: int, mixer: nn.Module, drop_path: float = 0.0) -> None:
        super().__init__(channels, mixer, drop_path)
        self.mixer_norm = LayerNorm2d(channels)
        self.dwconv = depthwise_conv(channels, DILATION)
        self.dwconv_norm = LayerNorm2d(channels)
        self.act = nn.GELU()

    def mix(self, x: Tensor) -> Tensor:
        # Norms and GELUs run on (N, C, H, W), as in LRCEDBlock, because gradients arrive in either
        # memory layout: for a contiguous (N, H, W, C) input and a gradient that is not, the backward
        # pass of GELU in torch 2.1 on the CPU returns uninitialised memory.
        y = self.act(self.mixer_norm(channels_first(self.mixer(x)))) + channels_first(x)
        return channels_last(self.act(self.dwconv_norm(self.dwconv(y))) + y)


class Place(NamedTuple):
    """Where a block stands, and what all blocks are given."""

    level: int  # stride 2^level
    index: int  # in its group: the blocks of one level of one encoder or decoder
    channels: int
    drop_path: float
    layer_scale: float


class Family(NamedTuple):
    """A token mixer's blocks and what goes with them in the rest of the network."""

    block: Callable[[Place], nn.Module]
    long_range_block: Callable[[Place], nn.Module]
    norm: Callable[[int], nn.Module] = LayerNorm2d
    act: Callable[[], nn.Module] = nn.GELU


def window_attention(place: Place) -> WindowAttention:
    return WindowAttention(place.channels, shifted=place.index % 2 == 1)


# level -> heads and stripe; at level 5 the long-range block attends to the whole feature map instead
CROSS_WINDOW_HEADS = {2: 2, 3: 4, 4: 8, 5: 10}
CROSS_WINDOW_STRIPES = {2: 1, 3: 2, 4: 7, 5: 7}


def cross_window_attention(place: Place, stripe: int | None) -> CrossWindowAttention:
    return CrossWindowAttention(place.channels, CROSS_WINDOW_HEADS[place.level], stripe)


FAMILIES = {
    'dwconv': Family(
        lambda p: CEDBlock(p.channels, p.drop_path, p.layer_scale),
        lambda p: LRCEDBlock(p.channels, p.drop_path, p.layer_scale),
    ),
    'conv': Family(
        lambda p: ConvCEDBlock(p.channels, p.drop_path),
        lambda p: LRConvCEDBlock(p.channels, p.drop_path),
        norm=nn.BatchNorm2d,
        act=nn.ReLU,
    ),
    'window': Family(
        lambda p: AttentionCEDBlock(p.channels, window_attention(p), p.drop_path),
        lambda p: LRAttentionCEDBlock(p.channels, window_attention(p), p.drop_path),
    ),
    'cross_window': Family(
        lambda p: AttentionCEDBlock(
            p.channels, cross_window_attention(p, CROSS_WINDOW_STRIPES[p.level]), p.drop_path
        ),
        lambda p: AttentionCEDBlock(p.channels, cross_window_attention(p, None), p.drop_path),
    ),
}


class Blocks(nn.Sequential):
    """Blocks in sequence; with ``with_cp`` their activations are recomputed in the backward pass."""

    def __init__(self, *blocks: nn.Module, with_cp: bool = False) -> None:
        super().__init__(*blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


class BlockFactory:
    """Makes the groups of blocks of a network, in the order in which data meets them.

    Args:
        family: Token mixer.
        channels: Widths (C0, C1, C2, C3) of the levels 2 to 5.
        lr_block: Long-range blocks at level 5.
        drop_path_rates: Of each block, in that order.
        layer_scale: Initial value of gamma, for the blocks that have one.
        with_cp: Recompute activations in the backward pass.
    """

    def __init__(
        self,
        family: Family,
        channels: Sequence[int],
        lr_block: bool,
        drop_path_rates: Sequence[float],
        layer_scale: float,
        with_cp: bool,
    ) -> None:
        self.family = family
        self.channels = dict(zip((2, 3, 4, 5), channels))
        self.lr_block = lr_block
        self.rates = iter(drop_path_rates)
        self.layer_scale = layer_scale
        self.with_cp = with_cp

    def group(self, level: int, number: int) -> Blocks:
        """The next ``number`` blocks, at stride 2^level."""
        blocks = (self._block(level, index, next(self.rates)) for index in range(number))
        return Blocks(*blocks, with_cp=self.with_cp)

    def lateral(self, level: int) -> Blocks:
        """A block beside the ramp of stochastic depth."""
        return Blocks(self._block(level, 0, 0.0), with_cp=self.with_cp)

    def _block(self, level: int, index: int, drop_path: float) -> nn.Module:
        long_range = level == 5 and self.lr_block
        build = self.family.long_range_block if long_range else self.family.block
        return build(Place(level, index, self.channels[level], drop_path, self.layer_scale))
