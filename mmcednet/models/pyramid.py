"""The adapter in place of a neck: CEDNet's features as P2..P7 for a detection head."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from .layers import LayerNorm2d, resize_to
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
        in_channels: Channels (C0, C1, C2, C3) of c2 and of levels 3, 4, 5.
        channels: Channels of the pyramid. Default: 256.
        levels: Consecutive levels, from 2 or 3 to 5 or more. Default: (3, 4, 5, 6, 7), for
            RetinaNet; (3, 4, 5, 6) is for Deformable DETR, (2, 3, 4, 5, 6) for two-stage detectors.
        norm: Maps channels to the normalisation of P3 and above. Default: channel LayerNorm.

    Raises:
        ValueError: ``levels`` are not as above, or ``channels`` is not positive.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
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
        self.channels = channels
        c2, *deeper = in_channels
        self.laterals = nn.ModuleList(build_conv_norm(width, channels, 1, 1, norm) for width in deeper)
        self.extras = nn.ModuleList(
            build_conv_norm(channels, channels, 3, 2, norm) for _ in range(levels[-1] - 5)
        )
        if levels[0] == 2:
            self.lateral2 = build_conv_norm(c2, channels, 1, 1, LayerNorm2d)
            self.merge2 = nn.Sequential(
                LayerNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1)
            )

    def forward(self, c2: Tensor, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """c2 (N, C0, H/4, W/4) and levels 3, 4, 5 -> one (N, channels, H/2^k, W/2^k) per level k."""
        outs = [lateral(x) for lateral, x in zip(self.laterals, features)]
        for extra in self.extras:
            outs.append(extra(outs[-1]))
        if self.levels[0] == 2:
            outs.insert(0, self.merge2(resize_to(outs[0], c2) + self.lateral2(c2)))
        return tuple(outs)


def are_consecutive(levels: Sequence[int]) -> bool:
    return list(levels) == list(range(levels[0], levels[0] + len(levels)))
