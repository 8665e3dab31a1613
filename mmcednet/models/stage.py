"""A cascade stage: an encoder from stride 8 to 32 and a decoder back (paper, section 3.2)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .blocks import BlockFactory
from .layers import build_downsample, resize_to

Features = tuple[Tensor, Tensor, Tensor]  # levels 3, 4, 5
SECOND_HALF_BLOCK = 4  # index of the block at stride 16 where the second half of a stage begins


class Style(NamedTuple):
    """What a decoder has in addition to the top-down pathway."""

    decoder_blocks: bool  # half of the blocks of levels 3 and 4 are in the decoder, not in the encoder
    laterals: bool  # a block on each lateral connection


STYLES = {
    'fpn': Style(decoder_blocks=False, laterals=False),
    'unet': Style(decoder_blocks=True, laterals=False),
    'hourglass': Style(decoder_blocks=True, laterals=True),
}


class Encoder(nn.Module):
    """Blocks at strides 8, 16 and 32 with strided convolutions in between.

    Args:
        factory: Builds the blocks.
        blocks: Number of blocks (n1, n2, n3) of the levels 3, 4, 5.
    """

    def __init__(self, factory: BlockFactory, blocks: Sequence[int]) -> None:
        super().__init__()
        channels, norm = factory.channels, factory.mixer.norm
        self.level3 = factory.build_group(3, blocks[0])
        self.down4 = build_downsample(channels[3], channels[4], norm)
        self.level4 = factory.build_group(4, blocks[1])
        self.down5 = build_downsample(channels[4], channels[5], norm)
        self.level5 = factory.build_group(5, blocks[2])

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> e3 of the same shape, e4 (N, C2, H/16, W/16), e5 (N, C3, H/32, W/32)."""
        e3 = self.level3(x)
        e4 = self.level4(self.down4(e3))
        e5 = self.level5(self.down5(e4))
        return e3, e4, e5


class Decoder(nn.Module):
    """Top-down sums: d4 = norm(e4 + up(conv1x1(e5))), d3 = norm(e3 + up(conv1x1(d4))).

    Args:
        factory: Builds the blocks.
        blocks: Number of blocks (n1, n2) after the sums at the levels 3 and 4.
        laterals: Whether e4 and e3 pass through a block before the sums.
    """

    def __init__(self, factory: BlockFactory, blocks: Sequence[int], laterals: bool) -> None:
        super().__init__()
        channels, norm = factory.channels, factory.mixer.norm
        self.reduce5 = nn.Conv2d(channels[5], channels[4], 1)
        self.lateral4 = factory.build_lateral(4) if laterals else nn.Identity()
        self.norm4 = norm(channels[4])
        self.level4 = factory.build_group(4, blocks[1])
        self.reduce4 = nn.Conv2d(channels[4], channels[3], 1)
        self.lateral3 = factory.build_lateral(3) if laterals else nn.Identity()
        self.norm3 = norm(channels[3])
        self.level3 = factory.build_group(3, blocks[0])

    def scale_top_down(self, factor: float) -> None:
        """Multiply the weights of the convolutions that feed the sums by a factor."""
        with torch.no_grad():
            self.reduce5.weight.mul_(factor)
            self.reduce4.weight.mul_(factor)

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
        factory: Builds the blocks.
        blocks: Number of blocks (n1, n2, n3) of the levels 3, 4, 5, encoder and decoder together.
        style: Style of the decoder.
        has_decoder: Whether the stage has a decoder; without one, its blocks are omitted too.
    """

    def __init__(
        self, factory: BlockFactory, blocks: Sequence[int], style: Style, has_decoder: bool
    ) -> None:
        super().__init__()
        n3, n4, n5 = blocks
        first3, first4 = (n3 // 2, n4 // 2) if style.decoder_blocks else (n3, n4)
        self.encoder = Encoder(factory, (first3, first4, n5))
        self.decoder: nn.Module
        if has_decoder:
            self.decoder = Decoder(factory, (n3 - first3, n4 - first4), style.laterals)
        else:
            self.decoder = nn.Identity()

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> the features of levels 3, 4, 5."""
        return self.decoder(self.encoder(x))

    @staticmethod
    def is_in_first_half(name: str) -> bool:
        """Whether a parameter, given its name within the stage, comes before ``SECOND_HALF_BLOCK``."""
        part, level, *rest = name.split('.')
        if part != 'encoder':
            return False
        return level in ('level3', 'down4') or (level == 'level4' and int(rest[0]) < SECOND_HALF_BLOCK)
