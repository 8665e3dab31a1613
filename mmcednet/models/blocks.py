"""The CED block and its long-range variant for each token mixer (paper, section 3.3 and Figure 3).

A block keeps the shape of its input, (N, C, H, W). ``MIXERS`` maps the name of each token mixer to its
plain block, its long-range block, and the normalisation and activation of the rest of the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .depthwise import DepthwiseConv2d
from .layers import EPS, DropPath, LayerNorm2d, Run, add, compute, recompute
from .mixers import CrossWindowAttention, WindowAttention
from .mlp import MLP

DILATION = 3


def to_channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)  # (N, H, W, C)


def to_channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)  # (N, C, H, W)


class CEDBlock(nn.Module):
    """x + DropPath(gamma * MLP(LN(DW7x7(x)))), for (N, C, H, W).

    Args:
        channels: C.
        drop_path: Rate of stochastic depth. Default: 0.
        layer_scale: Initial value of gamma; 0 leaves gamma out. Default: 1e-6.
        run: ``recompute`` keeps no outputs of GELU for the backward pass. Default: ``compute``.
    """

    def __init__(
        self,
        channels: int,
        drop_path: float = 0.0,
        layer_scale: float = 1e-6,
        run: Run = compute,
    ) -> None:
        super().__init__()
        self.dwconv = DepthwiseConv2d(channels)
        self.norm = LayerNorm2d(channels)
        self.mlp = MLP(channels, layer_scale, run)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x))
        return add(x, self.drop_path(to_channels_first(self.mlp(to_channels_last(y)))))


class LongRangeCEDBlock(nn.Module):
    """The long-range block: a plain and a dilated depth-wise 7x7 convolution, then the MLP.

    y = GELU(LN(DW7x7(x))) + x; z = GELU(LN(DW7x7 dilated(y))) + y; x + DropPath(gamma * MLP(z)).
    Arguments as for :class:`CEDBlock`.
    """

    def __init__(
        self,
        channels: int,
        drop_path: float = 0.0,
        layer_scale: float = 1e-6,
        run: Run = compute,
    ) -> None:
        super().__init__()
        self.dwconv1 = DepthwiseConv2d(channels)
        self.norm1 = LayerNorm2d(channels)
        self.dwconv2 = DepthwiseConv2d(channels, DILATION)
        self.norm2 = LayerNorm2d(channels)
        self.act = nn.GELU()
        self.mlp = MLP(channels, layer_scale, run)
        self.drop_path = DropPath(drop_path)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        y = add(x, self.run(lambda x: self.act(self.norm1(x)), self.dwconv1(x)))
        z = add(y, self.run(lambda x: self.act(self.norm2(x)), self.dwconv2(y)))
        return add(x, self.drop_path(to_channels_first(self.mlp(to_channels_last(z)))))


class ConvCEDBlock(nn.Module):
    """An inverted bottleneck: conv3x3, conv1x1 to 4C, conv1x1 back to C, each with BN and ReLU.

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


class LongRangeConvCEDBlock(ConvCEDBlock):
    """Adds a dilated depth-wise 7x7 convolution after the 3x3 one, each with its own shortcut."""

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__(channels, drop_path)
        self.dwconv = DepthwiseConv2d(channels, DILATION)
        self.dwconv_norm = nn.BatchNorm2d(channels)

    def mix(self, x: Tensor) -> Tensor:
        x = super().mix(x) + x
        return self.act(self.dwconv_norm(self.dwconv(x))) + x


class AttentionCEDBlock(nn.Module):
    """A Transformer block: x + DropPath(mixer(LN(x))), then x + DropPath(MLP(LN(x))).

    Args:
        channels: C.
        mixer: Maps (N, H, W, C) to the same shape.
        drop_path: Rate of stochastic depth of both residual branches. Default: 0.
        run: As for :class:`CEDBlock`, for the MLP and the activations. Default: ``compute``.
        eps: Added to the variances of both LayerNorms. Default: 1e-6.
    """

    def __init__(
        self,
        channels: int,
        mixer: nn.Module,
        drop_path: float = 0.0,
        run: Run = compute,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=eps)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(channels, eps=eps)
        self.mlp = MLP(channels, run=run)
        self.drop_path = DropPath(drop_path)

    def mix(self, x: Tensor) -> Tensor:
        return self.mixer(x)

    def forward(self, x: Tensor) -> Tensor:
        x = to_channels_last(x)
        x = add(x, self.drop_path(self.mix(self.norm1(x))))
        x = add(x, self.drop_path(self.mlp(self.norm2(x))))
        return to_channels_first(x)


class LongRangeAttentionCEDBlock(AttentionCEDBlock):
    """Adds a dilated depth-wise 7x7 convolution after the mixer, each with its own shortcut."""

    def __init__(
        self, channels: int, mixer: nn.Module, drop_path: float = 0.0, run: Run = compute
    ) -> None:
        super().__init__(channels, mixer, drop_path, run)
        self.mixer_norm = LayerNorm2d(channels)
        self.dwconv = DepthwiseConv2d(channels, DILATION)
        self.dwconv_norm = LayerNorm2d(channels)
        self.act = nn.GELU()
        self.run = run

    def mix(self, x: Tensor) -> Tensor:
        # Normalise and activate in (N, C, H, W), as LongRangeCEDBlock does: gradients arrive in either
        # memory layout, and for a contiguous (N, H, W, C) input with a gradient that is not contiguous
        # the backward pass of GELU in torch 2.1 on the CPU returns uninitialised memory.
        y = to_channels_first(self.mixer(x))
        y = self.run(lambda y: self.act(self.mixer_norm(y)), y) + to_channels_first(x)
        return to_channels_last(self.run(lambda y: self.act(self.dwconv_norm(y)), self.dwconv(y)) + y)


CED_BLOCKS = (CEDBlock, LongRangeCEDBlock, ConvCEDBlock, AttentionCEDBlock)  # with their subclasses


@dataclass(frozen=True)
class BlockSpec:
    """Arguments of a block: its position in the network and its settings."""

    level: int  # stride 2^level
    index: int  # within its group, the blocks of one level of one encoder or decoder
    channels: int
    drop_path: float
    layer_scale: float
    run: Run = compute


class MixerSpec(NamedTuple):
    """The blocks of a token mixer, and the normalisation and activation of the rest of the network."""

    block: Callable[[BlockSpec], nn.Module]
    long_range_block: Callable[[BlockSpec], nn.Module]
    norm: Callable[[int], nn.Module] = LayerNorm2d
    act: Callable[[], nn.Module] = nn.GELU


def build_window_attention(spec: BlockSpec) -> WindowAttention:
    return WindowAttention(spec.channels, shifted=spec.index % 2 == 1)


# By level; the long-range block at level 5 attends globally instead
CROSS_WINDOW_HEADS = {2: 2, 3: 4, 4: 8, 5: 10}
CROSS_WINDOW_STRIPES = {2: 1, 3: 2, 4: 7, 5: 7}


def build_cross_window_attention(spec: BlockSpec, stripe: int | None) -> CrossWindowAttention:
    return CrossWindowAttention(spec.channels, CROSS_WINDOW_HEADS[spec.level], stripe)


MIXERS = {
    'dwconv': MixerSpec(
        lambda spec: CEDBlock(spec.channels, spec.drop_path, spec.layer_scale, spec.run),
        lambda spec: LongRangeCEDBlock(spec.channels, spec.drop_path, spec.layer_scale, spec.run),
    ),
    'conv': MixerSpec(
        lambda spec: ConvCEDBlock(spec.channels, spec.drop_path),
        lambda spec: LongRangeConvCEDBlock(spec.channels, spec.drop_path),
        norm=nn.BatchNorm2d,
        act=nn.ReLU,
    ),
    'window': MixerSpec(
        lambda spec: AttentionCEDBlock(
            spec.channels, build_window_attention(spec), spec.drop_path, spec.run
        ),
        lambda spec: LongRangeAttentionCEDBlock(
            spec.channels, build_window_attention(spec), spec.drop_path, spec.run
        ),
    ),
    'cross_window': MixerSpec(
        lambda spec: AttentionCEDBlock(
            spec.channels,
            build_cross_window_attention(spec, CROSS_WINDOW_STRIPES[spec.level]),
            spec.drop_path,
            spec.run,
        ),
        lambda spec: AttentionCEDBlock(
            spec.channels, build_cross_window_attention(spec, None), spec.drop_path, spec.run
        ),
    ),
}


# What is computed again in the backward pass instead of being kept
RECOMPUTE = ('none', 'cheap', 'full')


class Blocks(nn.Sequential):
    """Blocks in sequence; ``with_cp`` computes their activations again in the backward pass."""

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
    """Builds the groups of blocks of a network, in the order of the forward pass.

    The order of construction matters: each block takes the next drop path rate.

    Args:
        mixer: Token mixer.
        channels: Widths (C0, C1, C2, C3) of the levels 2 to 5.
        long_range: Long-range blocks at level 5.
        drop_path_rates: Rate of each block, in that order.
        layer_scale: Initial value of gamma, for blocks that have one.
        recompute: 'none', 'cheap': outputs of GELU, or 'full': everything in a block.
    """

    def __init__(
        self,
        mixer: MixerSpec,
        channels: Sequence[int],
        long_range: bool,
        drop_path_rates: Sequence[float],
        layer_scale: float,
        recompute: str,
    ) -> None:
        self.mixer = mixer
        self.channels = dict(zip((2, 3, 4, 5), channels))
        self.long_range = long_range
        self.rates = iter(drop_path_rates)  # consumed block by block: construct in forward order
        self.layer_scale = layer_scale
        self.recompute = recompute

    def build_group(self, level: int, number: int) -> Blocks:
        """The next ``number`` blocks of the network, at stride 2^level."""
        blocks = (self._build_block(level, index, next(self.rates)) for index in range(number))
        return Blocks(*blocks, with_cp=self.recompute == 'full')

    def build_lateral(self, level: int) -> Blocks:
        """A block of a lateral connection, without stochastic depth."""
        return Blocks(self._build_block(level, 0, 0.0), with_cp=self.recompute == 'full')

    @property
    def run(self) -> Run:
        """How GELU is computed."""
        return recompute if self.recompute == 'cheap' else compute

    def _build_block(self, level: int, index: int, drop_path: float) -> nn.Module:
        long_range = level == 5 and self.long_range
        build = self.mixer.long_range_block if long_range else self.mixer.block
        channels = self.channels[level]
        return build(BlockSpec(level, index, channels, drop_path, self.layer_scale, self.run))
