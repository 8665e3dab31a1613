"""The CED block and its long-range variant (paper, section 3.3 and Figure 3).

A block keeps the shape of its input, (N, C, H, W). ``BLOCKS`` names the token mixers that there are
and gives, for each, the plain block and the one that takes its place at the coarsest level.
"""

import torch
from torch import Tensor, nn

from .layers import DropPath, LayerNorm2d

DILATION = 3


def depthwise_conv(channels: int, dilation: int = 1) -> nn.Conv2d:
    """Depth-wise 7x7 convolution that keeps H and W."""
    return nn.Conv2d(channels, channels, 7, padding=3 * dilation, dilation=dilation, groups=channels)


class MLP(nn.Module):
    """Linear C -> 4C, GELU, Linear 4C -> C, scaled per channel by ``gamma`` (layer scale).

    Takes and returns (N, C, H, W). The linears run on the channels-last view: on the contiguous
    channels of (N, H, W, C) they are one matrix product, faster than two 1x1 convolutions.
    """

    def __init__(self, channels: int, layer_scale: float) -> None:
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale)) if layer_scale > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        x = self.pwconv2(self.act(self.pwconv1(x)))
        if self.gamma is not None:
            x = self.gamma * x
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
        return x + self.drop_path(self.mlp(self.norm(self.dwconv(x))))


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
        return x + self.drop_path(self.mlp(z))


# mixer -> (CED block, LR CED block)
BLOCKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {'dwconv': (CEDBlock, LRCEDBlock)}
