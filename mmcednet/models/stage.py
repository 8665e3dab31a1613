"""A cascade stage: an encoder from stride 8 to 32 and a decoder back (paper, section 3.2)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .blocks import Blocks, Design
from .layers import build_downsample, resize_to

Features = dict[int, Tensor]  # of each level, (N, C, H / 2^level, W / 2^level)
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
        design: Of the network.
        blocks: Number of blocks of the levels 3, 4, 5.
    """

    def __init__(self, design: Design, blocks: Mapping[int, int]) -> None:
        super().__init__()
        channels, norm = design.channels, design.mixer.norm
        self.level3 = design.build_blocks(3, blocks[3])
        self.down4 = build_downsample(channels[3], channels[4], norm)
        self.level4 = design.build_blocks(4, blocks[4])
        self.down5 = build_downsample(channels[4], channels[5], norm)
        self.level5 = design.build_blocks(5, blocks[5])

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> e3 of the same shape, e4 (N, C2, H/16, W/16), e5 (N, C3, H/32, W/32)."""
        e3 = self.level3(x)
        e4 = self.level4(self.down4(e3))
        e5 = self.level5(self.down5(e4))
        return {3: e3, 4: e4, 5: e5}

    def list_groups(self) -> list[Blocks]:
        """Its groups of blocks, in the order of the forward pass."""
        return [self.level3, self.level4, self.level5]


class Decoder(nn.Module):
    """Top-down sums: d4 = norm(e4 + up(conv1x1(e5))), d3 = norm(e3 + up(conv1x1(d4))).

    Args:
        design: Of the network.
        blocks: Number of blocks after the sums at the levels 3 and 4.
        laterals: Whether e4 and e3 pass through a block before the sums.
    """

    def __init__(self, design: Design, blocks: Mapping[int, int], laterals: bool) -> None:
        super().__init__()
        channels, norm = design.channels, design.mixer.norm
        self.reduce5 = nn.Conv2d(channels[5], channels[4], 1)
        self.lateral4 = design.build_blocks(4, 1) if laterals else nn.Identity()
        self.norm4 = norm(channels[4])
        self.level4 = design.build_blocks(4, blocks[4])
        self.reduce4 = nn.Conv2d(channels[4], channels[3], 1)
        self.lateral3 = design.build_blocks(3, 1) if laterals else nn.Identity()
        self.norm3 = norm(channels[3])
        self.level3 = design.build_blocks(3, blocks[3])

    def scale_top_down(self, factor: float) -> None:
        """Multiply the weights of the convolutions that feed the sums by a factor."""
        with torch.no_grad():
            self.reduce5.weight.mul_(factor)
            self.reduce4.weight.mul_(factor)

    def forward(self, features: Features) -> Features:
        """(e3, e4, e5) -> (d3, d4, e5) of the same shapes."""
        e3, e4, e5 = features[3], features[4], features[5]
        d4 = self.norm4(self.lateral4(e4) + resize_to(self.reduce5(e5), e4))
        d4 = self.level4(d4)
        d3 = self.norm3(self.lateral3(e3) + resize_to(self.reduce4(d4), e3))
        d3 = self.level3(d3)
        return {3: d3, 4: d4, 5: e5}

    def list_groups(self) -> list[Blocks]:
        """Its groups of blocks, in the order of the forward pass, without the lateral ones."""
        return [self.level4, self.level3]


class Stage(nn.Module):
    """One cascade stage.

    Args:
        design: Of the network.
        blocks: Number of blocks of the levels 3, 4, 5, encoder and decoder together.
        style: Style of the decoder.
        has_decoder: Whether the stage has a decoder; without one, its blocks are omitted too.
    """

    def __init__(
        self, design: Design, blocks: Mapping[int, int], style: Style, has_decoder: bool
    ) -> None:
        super().__init__()
        later = {level: (blocks[level] + 1) // 2 if style.decoder_blocks else 0 for level in (3, 4)}
        self.encoder = Encoder(design, {level: blocks[level] - later.get(level, 0) for level in blocks})
        self.decoder: nn.Module = nn.Identity()
        if has_decoder:
            self.decoder = Decoder(design, later, style.laterals)

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> the features of levels 3, 4, 5."""
        return self.decoder(self.encoder(x))

    def list_groups(self) -> list[Blocks]:
        """Its groups of blocks, in the order of the forward pass, without lateral ones."""
        groups = self.encoder.list_groups()
        return groups + self.decoder.list_groups() if isinstance(self.decoder, Decoder) else groups

    @staticmethod
    def is_in_first_half(name: str) -> bool:
        """Whether a parameter, given its name within the stage, comes before ``SECOND_HALF_BLOCK``."""
        part, level, *rest = name.split('.')
        if part != 'encoder':
            return False
        return level in ('level3', 'down4') or (level == 'level4' and int(rest[0]) < SECOND_HALF_BLOCK)
