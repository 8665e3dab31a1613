"""A cascade stage: an encoder from stride 8 to 32 and a decoder back (paper, section 3.2)."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import LayerNorm2d

Features = tuple[Tensor, Tensor, Tensor]  # levels 3, 4, 5


class Blocks(nn.Sequential):
    """Blocks in sequence; with ``with_cp`` their activations are recomputed in the backward pass."""

    def __init__(self, *blocks: nn.Module, with_cp: bool = False) -> None:
        super().__init__(*blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            if self.with_cp and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


MakeBlocks = Callable[[int, int, bool], Blocks]  # channels, number, long_range -> blocks


def downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    """conv2x2 with stride 2 and LN; an odd last row or column of (N, C, H, W) is dropped."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 2, stride=2), LayerNorm2d(out_channels))


def resize_to(x: Tensor, target: Tensor) -> Tensor:
    """Bilinear resize of ``x`` to H and W of ``target``: x2, but for odd sizes."""
    return F.interpolate(x, size=target.shape[-2:], mode='bilinear', align_corners=False)


class Encoder(nn.Module):
    """Blocks at strides 8, 16 and 32 with a strided convolution between them.

    Args:
        channels: Widths (C1, C2, C3) of the levels 3, 4, 5.
        blocks: Number of blocks (n1, n2, n3) of the levels.
        make_blocks: (channels, number, long_range) -> the blocks of one level.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int], make_blocks: MakeBlocks) -> None:
        super().__init__()
        c3, c4, c5 = channels
        n3, n4, n5 = blocks
        self.level3 = make_blocks(c3, n3, False)
        self.down4 = downsample(c3, c4)
        self.level4 = make_blocks(c4, n4, False)
        self.down5 = downsample(c4, c5)
        self.level5 = make_blocks(c5, n5, True)

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> e3 of the same shape, e4 (N, C2, H/16, W/16), e5 (N, C3, H/32, W/32)."""
        e3 = self.level3(x)
        e4 = self.level4(self.down4(e3))
        e5 = self.level5(self.down5(e4))
        return e3, e4, e5


class FPNDecoder(nn.Module):
    """Top-down sums: d4 = LN(e4 + up(conv1x1(e5))), d3 = LN(e3 + up(conv1x1(d4))).

    Args:
        channels: Widths (C1, C2, C3) of the levels 3, 4, 5.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        c3, c4, c5 = channels
        self.reduce5 = nn.Conv2d(c5, c4, 1)
        self.norm4 = LayerNorm2d(c4)
        self.reduce4 = nn.Conv2d(c4, c3, 1)
        self.norm3 = LayerNorm2d(c3)

    def forward(self, features: Features) -> Features:
        """(e3, e4, e5) -> (d3, d4, e5) of the same shapes."""
        e3, e4, e5 = features
        d4 = self.norm4(e4 + resize_to(self.reduce5(e5), e4))
        d3 = self.norm3(e3 + resize_to(self.reduce4(d4), e3))
        return d3, d4, e5


# style -> decoder
DECODERS: dict[str, type[nn.Module]] = {'fpn': FPNDecoder}


class Stage(nn.Module):
    """One cascade stage.

    Args:
        channels, blocks, make_blocks: As for :class:`Encoder`.
        style: Name of the decoder, a key of ``DECODERS``; None leaves the decoder out.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        make_blocks: MakeBlocks,
        style: str | None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, blocks, make_blocks)
        self.decoder = DECODERS[style](channels) if style else nn.Identity()

    def forward(self, x: Tensor) -> Features:
        """(N, C1, H/8, W/8) -> the levels 3, 4, 5."""
        return self.decoder(self.encoder(x))
