"""The CED block and its long-range variant for each token mixer (paper, section 3.3 and Figure 3).

A block keeps the shape of its input, (N, C, H, W). ``MIXERS`` has the blocks of each token mixer, and
the normalisation and activation of the rest of the network.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers import (
    EPS,
    MLP,
    DepthwiseConv2d,
    DropPath,
    LayerNorm,
    LayerNorm2d,
    NormAct2d,
    to_channels_first,
    to_channels_last,
)
from .mixers import CrossWindowAttention, WindowAttention

DILATION = 3


class CEDBlock(nn.Module):
    """x + DropPath(gamma * MLP(LN(DW7x7(x)))), for (N, C, H, W).

    The blocks of all mixers take the same arguments, used or not, so that a network can build any of
    them.

    Args:
        channels: C.
        level: Level of the block, at stride 2^level. Default: 3.
        index: Index within its group, the blocks of one level of one encoder or decoder. Default: 0.
        layer_scale: Initial value of gamma, in blocks that have one; 0 leaves it out. Default: 1e-6.
    """

    def __init__(
        self, channels: int, level: int = 3, index: int = 0, layer_scale: float = 1e-6
    ) -> None:
        super().__init__()
        self.dwconv = DepthwiseConv2d(channels)
        self.norm = LayerNorm2d(channels)
        self.mlp = MLP(channels, layer_scale)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x))
        return x + self.drop_path(to_channels_first(self.mlp(to_channels_last(y))))


class LongRangeCEDBlock(nn.Module):
    """The long-range block: a plain and a dilated depth-wise 7x7 convolution, then the MLP.

    y = x + GELU(LN(DW7x7(x))); z = y + GELU(LN(DW7x7 dilated(y))); x + DropPath(gamma * MLP(z)).
    Arguments as for :class:`CEDBlock`.
    """

    def __init__(
        self, channels: int, level: int = 5, index: int = 0, layer_scale: float = 1e-6
    ) -> None:
        super().__init__()
        self.dwconv1 = DepthwiseConv2d(channels)
        self.norm1 = NormAct2d(channels)
        self.dwconv2 = DepthwiseConv2d(channels, DILATION)
        self.norm2 = NormAct2d(channels)
        self.mlp = MLP(channels, layer_scale)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.norm1(self.dwconv1(x))
        z = y + self.norm2(self.dwconv2(y))
        return x + self.drop_path(to_channels_first(self.mlp(to_channels_last(z))))


class ConvCEDBlock(nn.Module):
    """An inverted bottleneck: conv3x3, conv1x1 to 4C, conv1x1 back to C, each with BN and ReLU.

    Arguments as for :class:`CEDBlock`; there is no gamma.
    """

    def __init__(self, channels: int, level: int = 3, index: int = 0, layer_scale: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * channels)
        self.conv3 = nn.Conv2d(4 * channels, channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()
        self.drop_path = DropPath()

    def mix(self, x: Tensor) -> Tensor:
        return self.act(self.norm1(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm2(self.conv2(self.mix(x))))
        return self.act(x + self.drop_path(self.norm3(self.conv3(y))))


class LongRangeConvCEDBlock(ConvCEDBlock):
    """Adds a dilated depth-wise 7x7 convolution after the 3x3 one, each with its own shortcut."""

    def __init__(self, channels: int, level: int = 5, index: int = 0, layer_scale: float = 0.0) -> None:
        super().__init__(channels, level, index, layer_scale)
        self.dwconv = DepthwiseConv2d(channels, DILATION)
        self.dwconv_norm = nn.BatchNorm2d(channels)

    def mix(self, x: Tensor) -> Tensor:
        y = x + super().mix(x)
        return y + self.act(self.dwconv_norm(self.dwconv(y)))


class AttentionCEDBlock(nn.Module):
    """A Transformer block: x + DropPath(mixer(LN(x))), then x + DropPath(MLP(LN(x))).

    The base of blocks that choose their mixer.

    Args:
        channels: C.
        mixer: Maps (N, H, W, C) to the same shape.
        eps: Added to the variances of both LayerNorms. Default: 1e-6.
    """

    def __init__(self, channels: int, mixer: nn.Module, eps: float = EPS) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels, eps)
        self.mixer = mixer
        self.norm2 = LayerNorm(channels, eps)
        self.mlp = MLP(channels)
        self.drop_path = DropPath()

    def mix(self, x: Tensor) -> Tensor:
        return self.mixer(x)

    def forward(self, x: Tensor) -> Tensor:
        x = to_channels_last(x)
        x = x + self.drop_path(self.mix(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return to_channels_first(x)


class LongRangeAttentionCEDBlock(AttentionCEDBlock):
    """Adds a dilated depth-wise 7x7 convolution after the mixer, each with its own shortcut."""

    def __init__(self, channels: int, mixer: nn.Module) -> None:
        super().__init__(channels, mixer)
        self.mixer_norm = NormAct2d(channels)
        self.dwconv = DepthwiseConv2d(channels, DILATION)
        self.dwconv_norm = NormAct2d(channels)

    def mix(self, x: Tensor) -> Tensor:
        y = to_channels_first(x) + self.mixer_norm(to_channels_first(self.mixer(x)))
        z = y + self.dwconv_norm(self.dwconv(y))
        return to_channels_last(z)


class WindowCEDBlock(AttentionCEDBlock):
    """Window attention; every second block shifts its windows. Arguments as for :class:`CEDBlock`."""

    def __init__(self, channels: int, level: int = 3, index: int = 0, layer_scale: float = 0.0) -> None:
        super().__init__(channels, WindowAttention(channels, shifted=index % 2 == 1))


class LongRangeWindowCEDBlock(LongRangeAttentionCEDBlock):
    """Adds the dilated convolution to the window attention. Arguments as for :class:`CEDBlock`."""

    def __init__(self, channels: int, level: int = 5, index: int = 0, layer_scale: float = 0.0) -> None:
        super().__init__(channels, WindowAttention(channels, shifted=index % 2 == 1))


CROSS_WINDOW_HEADS = {2: 2, 3: 4, 4: 8, 5: 10}  # by level
CROSS_WINDOW_STRIPES = {2: 1, 3: 2, 4: 7, 5: 7}


class CrossWindowCEDBlock(AttentionCEDBlock):
    """Attention in cross-shaped windows. Arguments as for :class:`CEDBlock`."""

    def __init__(self, channels: int, level: int = 3, index: int = 0, layer_scale: float = 0.0) -> None:
        heads, stripe = CROSS_WINDOW_HEADS[level], CROSS_WINDOW_STRIPES[level]
        super().__init__(channels, CrossWindowAttention(channels, heads, stripe))


class GlobalCEDBlock(AttentionCEDBlock):
    """Attention over the whole feature map. Arguments as for :class:`CEDBlock`."""

    def __init__(self, channels: int, level: int = 5, index: int = 0, layer_scale: float = 0.0) -> None:
        super().__init__(channels, CrossWindowAttention(channels, CROSS_WINDOW_HEADS[level], None))


CED_BLOCKS = (CEDBlock, LongRangeCEDBlock, ConvCEDBlock, AttentionCEDBlock)  # with their subclasses


class Mixer(NamedTuple):
    """The blocks of a token mixer, and the layers that fit them in the rest of the network.

    ``act`` follows ``norm_act``, and does nothing where that has an activation, as :class:`NormAct2d`
    has. BatchNorm has none, so that tools which replace or fuse torch's own BatchNorm can do so.
    """

    block: Callable[[int, int, int, float], nn.Module]  # arguments as for CEDBlock
    long_range_block: Callable[[int, int, int, float], nn.Module]
    norm: Callable[[int], nn.Module] = LayerNorm2d
    norm_act: Callable[[int], nn.Module] = NormAct2d
    act: Callable[[], nn.Module] = nn.Identity


MIXERS = {
    'dwconv': Mixer(CEDBlock, LongRangeCEDBlock),
    'conv': Mixer(ConvCEDBlock, LongRangeConvCEDBlock, nn.BatchNorm2d, nn.BatchNorm2d, nn.ReLU),
    'window': Mixer(WindowCEDBlock, LongRangeWindowCEDBlock),
    'cross_window': Mixer(CrossWindowCEDBlock, GlobalCEDBlock),
}


class Blocks(nn.Sequential):
    """Blocks in sequence, at one level."""


class Design(NamedTuple):
    """What all parts of a network have in common."""

    mixer: Mixer
    channels: Mapping[int, int]  # of the levels 2 to 5
    long_range: bool  # long-range blocks at level 5
    layer_scale: float

    def build_blocks(self, level: int, number: int) -> Blocks:
        """A group of blocks at stride 2^level."""
        long_range = self.long_range and level == 5
        build = self.mixer.long_range_block if long_range else self.mixer.block
        channels = self.channels[level]
        return Blocks(*(build(channels, level, index, self.layer_scale) for index in range(number)))


def list_modules(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    """The parts of a module that are of a class, in the order of the forward pass."""
    return [part for part in module.modules() if isinstance(part, kind)]


def set_drop_path(blocks: Iterable[nn.Module], last: float, number: int) -> None:
    """Set the rates of stochastic depth, which increase linearly from 0.

    Args:
        blocks: In the order of the forward pass.
        last: Rate of the last block, in [0, 1).
        number: Number of blocks of the network, more than ``blocks`` where the last ones are left out.

    Raises:
        ValueError: ``last`` is no number in [0, 1).
    """
    if not isinstance(last, (int, float)) or not 0 <= last < 1:
        raise ValueError(f'drop_path_rate {last} must be in [0, 1)')
    for block, rate in zip(blocks, torch.linspace(0, last, number, device='cpu').tolist()):
        for module in block.modules():
            if isinstance(module, DropPath):
                module.set_rate(rate)
