"""BiFPN, the weighted bi-directional pyramid of EfficientDet (Tan et al., 2020)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

EPS = 1e-4


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """With EfficientDet's settings."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def halve(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2))."""
    return F.max_pool2d(x, 3, stride=2, padding=1)


def enlarge(x: Tensor, target: Tensor) -> Tensor:
    """``x`` with the H and W of ``target``: x2, but for odd sizes."""
    return F.interpolate(x, size=target.shape[-2:], mode='nearest')


class Fusion(nn.Module):
    """Weighted mean of maps of one shape, then swish, a depth-wise separable 3x3 convolution and BN.

    The weights are learned and kept positive (the paper's fast normalized fusion).

    Args:
        inputs: Number of maps.
        channels: C of the maps, (N, C, H, W) each, and of the result.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.conv = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            batch_norm(channels),
        )

    def forward(self, *maps: Tensor) -> Tensor:
        weights = self.weights.relu()
        weights = weights / (weights.sum() + EPS)
        return self.conv(sum(weight * x for weight, x in zip(weights, maps)))


class BiFPNLayer(nn.Module):
    """Once down the pyramid and once up again; takes and returns its levels, finest first."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(Fusion(2, channels) for _ in range(levels - 1))
        # the coarsest level has nothing from the way down to fuse
        self.up = nn.ModuleList(Fusion(3 if i < levels - 2 else 2, channels) for i in range(levels - 1))

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        *finer, top = inputs
        between = [top]  # coarsest first
        for fuse, x in zip(self.down, reversed(finer)):
            between.append(fuse(x, enlarge(between[-1], x)))
        *between, finest = between[1:]

        outs = [finest]
        skips = [(x, y) for x, y in zip(inputs[1:], reversed(between))] + [(top,)]
        for fuse, skip in zip(self.up, skips):
            outs.append(fuse(*skip, halve(outs[-1])))
        return outs


@MODELS.register_module()
class BiFPN(BaseModule):
    """Neck: features at strides 8, 16, 32 to P3..P7.

    Args:
        in_channels: Widths of the features, finest first.
        out_channels: Width of the pyramid. Default: 256.
        num_layers: How often the features go down and up. Default: 8.
        num_outs: Number of levels; those above the inputs are made by max-pooling. Default: 5.
        init_cfg: mmengine's. Default: None.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_layers: int = 8,
        num_outs: int = 5,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, out_channels, 1, bias=False), batch_norm(out_channels))
            for width in (*in_channels, in_channels[-1])
        )
        self.num_pooled = num_outs - len(in_channels)
        self.layers = nn.Sequential(*(BiFPNLayer(out_channels, num_outs) for _ in range(num_layers)))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(N, C_i, H_i, W_i) each -> (N, out_channels, H / 2^k, W / 2^k) per level."""
        *laterals, extra = self.laterals
        outs = [lateral(x) for lateral, x in zip(laterals, inputs)]
        x = extra(inputs[-1])
        for _ in range(self.num_pooled):
            x = halve(x)
            outs.append(x)
        return tuple(self.layers(outs))
