"""What a head receives in place of a neck's features: a pyramid P2..P7, or the raw levels c2..c5."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from .layers import LayerNorm2d, resize_to
from .stage import Features
from .utils import are_integers

Norm = Callable[[int], nn.Module]


def build_conv_norm(
    in_channels: int, out_channels: int, kernel: int, stride: int, norm: Norm
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(conv, norm(out_channels))


class Pyramid(nn.Module):
    """Feature pyramid P_first..P_last, all with the same number of channels.

    P3, P4, P5 are conv1x1 + norm of the last stage's levels; each coarser level is conv3x3 with stride
    2 + norm of the previous one; P2, if requested, is conv3x3(LN(up(P3) + LN(conv1x1(c2)))).

    Args:
        in_channels: Channels of the levels 2, 3, 4, 5.
        channels: Channels of the pyramid. Default: 256.
        levels: Consecutive levels, from 2 or 3 to 5 or more. Default: (3, 4, 5, 6, 7), for
            RetinaNet; (3, 4, 5, 6) is for Deformable DETR, (2, 3, 4, 5, 6) for two-stage detectors.
        norm: Maps channels to the normalisation of P3 and above. Default: channel LayerNorm.

    Attributes:
        levels: Level of each feature that :meth:`forward` returns.
        out_channels: Channels of each of these features.

    Raises:
        ValueError: ``levels`` are not as above, or ``channels`` is not positive.
    """

    def __init__(
        self,
        in_channels: Mapping[int, int],
        channels: int = 256,
        levels: Sequence[int] = (3, 4, 5, 6, 7),
        norm: Norm = LayerNorm2d,
    ) -> None:
        super().__init__()
        levels = tuple(levels) if isinstance(levels, Sequence) else (levels,)
        integers = levels and are_integers(levels, len(levels), minimum=2)
        if not integers or levels[0] > 3 or levels[-1] < 5 or not are_consecutive(levels):
            raise ValueError(
                f'pyramid levels {levels} must be consecutive, start at 2 or 3 and end at 5 or above'
            )
        if not are_integers([channels], 1, minimum=1):
            raise ValueError(f'pyramid channels {channels} must be a positive integer')
        self.levels = levels
        self.out_channels = (channels,) * len(levels)
        self.laterals = nn.ModuleList(
            build_conv_norm(in_channels[level], channels, 1, 1, norm) for level in (3, 4, 5)
        )
        self.extras = nn.ModuleList(
            build_conv_norm(channels, channels, 3, 2, norm) for level in levels if level > 5
        )
        if levels[0] == 2:  # with LayerNorm for all mixers
            self.lateral2 = build_conv_norm(in_channels[2], channels, 1, 1, LayerNorm2d)
            self.merge2 = nn.Sequential(
                LayerNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1)
            )

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Features of levels 2 to 5 -> one (N, channels, H/2^k, W/2^k) for each k of ``levels``."""
        outs = [lateral(features[level]) for level, lateral in zip((3, 4, 5), self.laterals)]
        for extra in self.extras:
            outs.append(extra(outs[-1]))
        if self.levels[0] == 2:
            c2 = features[2]
            outs.insert(0, self.merge2(resize_to(outs[0], c2) + self.lateral2(c2)))
        return tuple(outs)


class RawLevels(nn.Module):
    """The features of some levels as they are.

    Args:
        in_channels: Channels of the levels 2, 3, 4, 5.
        levels: Distinct levels among these.

    Attributes:
        levels: Level of each feature that :meth:`forward` returns.
        out_channels: Channels of each of these features.

    Raises:
        ValueError: ``levels`` are not as above.
    """

    def __init__(self, in_channels: Mapping[int, int], levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels) if isinstance(levels, Sequence) else ()
        integers = self.levels and are_integers(self.levels, len(self.levels))
        if not integers or not set(self.levels) <= set(in_channels) or has_repeats(self.levels):
            raise ValueError(f'out_levels {levels} must be distinct levels among 2, 3, 4, 5')
        self.out_channels = tuple(in_channels[level] for level in self.levels)

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Features of levels 2 to 5 -> those of ``levels``."""
        return tuple(features[level] for level in self.levels)


def are_consecutive(levels: Sequence[int]) -> bool:
    return list(levels) == list(range(levels[0], levels[0] + len(levels)))


def has_repeats(levels: Sequence[int]) -> bool:
    return len(set(levels)) < len(levels)
