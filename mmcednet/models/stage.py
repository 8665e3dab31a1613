"""A cascade stage: an encoder from stride 8 to 32 and a decoder back (paper, section 3.2)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import BlockFactory

Features = tuple[Tensor, Tensor, Tensor]  # levels 3, 4, 5


class Style(NamedTuple):
    """What a decoder has besides its top-down sums."""

    blocks: bool  # half of the levels 3 and 4's blocks come after the sums, not in the encoder
    laterals: bool  # a block on the encoder's features before each sum


STYLES = {
    'fpn': Style(blocks=False, laterals=False),
    'unet': Style(blocks=True, laterals=False),
    'hourglass': Style(blocks=True, laterals=True),
}


def downsample(in_channels: int, out_channels: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    """conv2x2 with stride 2 and norm; an odd last row or column of (N, C, H, W) is dropped."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 2, stride=2), norm(out_channels))


def resize_to(x: Tensor, target: Tensor) -> Tensor:
    """Bilinear resize of ``x`` to H and W of ``target``: x2, but for odd sizes."""
    return F.interpolate(x, size=target.shape[-2:], mode='bilinear', align_corners=False)


class Encoder(nn.Module):
    """Blocks at strides 8, 16 and 32 with a strided convolution between them.

    Args:
        make: Makes the blocks.
        blocks: Number of blocks (n1, n2, n3) of the levels 3, 4, 5.
    """

    def __init__(self, make: BlockFactory, blocks: Sequence[int]) -> None:
        super().__init__()
        channels, norm = make.channels, make.family.norm
        self.level3 = make.group(3, blocks[0])
        self.down4 = downsample(channels[3], channels[4], norm)
        self.level4 = make.group(4, blocks[1])
        self.down5 = downsample(channels[4], channels[5], norm)
        self.level5 = make.group(5, blocks[2])

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> e3 of the same shape, e4 (N, C2, H/16, W/16), e5 (N, C3, H/32, W/32)."""
        e3 = self.level3(x)
        e4 = self.level4(self.down4(e3))
        e5 = self.level5(self.down5(e4))
        return e3, e4, e5


class Decoder(nn.Module):
    """Top-down sums: d4 = norm(e4 + up(conv1x1(e5))), d3 = norm(e3 + up(conv1x1(d4))).

    Args:
        make: Makes the blocks.
        blocks: Number of blocks (n1, n2) after the sums at the levels 3 and 4.
        laterals: A block on e4 and one on e3 before the sums.
    """

    def __init__(self, make: BlockFactory, blocks: Sequence[int], laterals: bool) -> None:
        super().__init__()
        channels, norm = make.channels, make.family.norm
        self.reduce5 = nn.Conv2d(channels[5], channels[4], 1)
        self.lateral4 = make.lateral(4) if laterals else nn.Identity()
        self.norm4 = norm(channels[4])
        self.level4 = make.group(4, blocks[1])
        self.reduce4 = nn.Conv2d(channels[4], channels[3], 1)
        self.lateral3 = make.lateral(3) if laterals else nn.Identity()
        self.norm3 = norm(channels[3])
        self.level3 = make.group(3, blocks[0])

    def forward(self, features: Features) -> Features:
        """(e3, e4, e5) -> (d3, d4, e5) of the same shapes."""
        e3, e4, e5 = features
        d4 = self.norm4(self.lateral4(e4) + resize_to(self.reduce5(e5), e4))
        d4 = self.level4(d4)
        d3 = self.norm3(self.lateral3(e3) + resize_to(self.reduce4(d4), e3))
        d3 = self.level3(d3)
        return d3, d4, e5


class Stage(nn.Module):
    """One cascade stage.

    Args:
        make: Makes the blocks.
        blocks: Number of blocks (n1, n2, n3) of the levels 3, 4, 5, encoder and decoder together.
        style: What the decoder has.
        has_decoder: Whether there is one; without it, its blocks are left out too.
    """

    def __init__(
        self, make: BlockFactory, blocks: Sequence[int], style: Style, has_decoder: bool
    ) -> None:
        super().__init__()
        n3, n4, n5 = blocks
        first3, first4 = (n3 // 2, n4 // 2) if style.blocks else (n3, n4)
        self.encoder = Encoder(make, (first3, first4, n5))
        if has_decoder:
            self.decoder = Decoder(make, (n3 - first3, n4 - first4), style.laterals)
        else:
            self.decoder = nn.Identity()

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> the levels 3, 4, 5."""
        return self.decoder(self.encoder(x))
