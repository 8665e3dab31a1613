"""BiFPN, the weighted bi-directional pyramid of EfficientDet (Tan et al., 2020)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.layers import resize_to
from mmcednet.models.utils import are_integers

EPS = 1e-4
MOMENTUM = 0.01  # EfficientDet's


def build_norm(channels: int, momentum: float) -> nn.BatchNorm2d:
    """BatchNorm with EfficientDet's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum)


def downsample(x: Tensor) -> Tensor:
    """Max-pool (N, C, H, W) to (N, C, ceil(H/2), ceil(W/2))."""
    return F.max_pool2d(x, 3, stride=2, padding=1)


class WeightedFusion(nn.Module):
    """Weighted mean of feature maps, then swish, a depth-wise separable 3x3 convolution and BN.

    The weights are learned and kept non-negative (the paper's fast normalized fusion).

    Args:
        num_inputs: Number of feature maps.
        channels: C of the feature maps, (N, C, H, W) each, and of the output.
        momentum: Momentum of the running statistics of BN. Default: 0.01.
    """

    def __init__(self, num_inputs: int, channels: int, momentum: float = MOMENTUM) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(num_inputs))
        self.conv = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1),
            build_norm(channels, momentum),
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        weights = self.weights.relu()
        weights = weights / (weights.sum() + EPS)
        return self.conv(sum(weight * x for weight, x in zip(weights, inputs)))


class BiFPNLayer(nn.Module):
    """One top-down and one bottom-up pathway; takes and returns the levels, finest first.

    Args:
        channels: C of all levels.
        num_levels: Number of levels.
        momentum: As for :class:`WeightedFusion`. Default: 0.01.
    """

    def __init__(self, channels: int, num_levels: int, momentum: float = MOMENTUM) -> None:
        super().__init__()
        top = num_levels - 1
        # down[i] fuses into level i, up[i] into level i + 1. The coarsest level has no intermediate
        # feature from the top-down pathway.
        self.down = nn.ModuleList(WeightedFusion(2, channels, momentum) for _ in range(top))
        self.up = nn.ModuleList(
            WeightedFusion(3 if i + 1 < top else 2, channels, momentum) for i in range(top)
        )

    def forward(self, inputs: Sequence[Tensor], skips: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Fuse the levels.

        Args:
            inputs: (N, C, H_i, W_i) of each level.
            skips: The bottom-up pathway's own inputs, of the same shapes. Default: ``inputs``.
        """
        skips = inputs if skips is None else skips
        top = len(inputs) - 1
        middle = list(inputs)
        for level in reversed(range(top)):
            x = inputs[level]
            middle[level] = self.down[level](x, resize_to(middle[level + 1], x, 'nearest'))

        outs = middle[:1]
        for level in range(1, top + 1):
            fused = (skips[level], middle[level]) if level < top else (skips[level],)
            outs.append(self.up[level - 1](*fused, downsample(outs[-1])))
        return outs


@MODELS.register_module()
class BiFPN(BaseModule):
    """Neck: features at strides 8, 16, 32 to P3..P7.

    As in EfficientDet and the authors' released code, the first layer's bottom-up pathway has lateral
    convolutions of its own.

    Args:
        in_channels: Channels of the input features, finest first.
        out_channels: Channels of the pyramid. Default: 256.
        num_layers: Number of BiFPN layers. Default: 7, which fits the costs in Table 1 best.
        num_outs: Number of levels; levels above the inputs are max-pooled. Default: 5.
        momentum: Momentum of the running statistics of BN. EfficientDet's is for long trainings: after
            400 iterations, statistics are still those of the first ones. Default: 0.01.
        init_cfg: Initialization config of mmengine. Default: None.

    Raises:
        ValueError: There are fewer outputs than inputs, or no layers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_layers: int = 7,
        num_outs: int = 5,
        momentum: float = MOMENTUM,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not are_integers([num_layers], 1, minimum=1):
            raise ValueError(f'num_layers {num_layers} must be a positive integer')
        if num_outs < len(in_channels):
            raise ValueError(
                f'num_outs {num_outs} must be at least {len(in_channels)}, as many as inputs'
            )

        def build_lateral(width: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(width, out_channels, 1), build_norm(out_channels, momentum))

        self.laterals = nn.ModuleList(map(build_lateral, in_channels))
        self.skips = nn.ModuleList(map(build_lateral, in_channels[1:]))
        self.num_pooled = num_outs - len(in_channels)
        self.extra = build_lateral(in_channels[-1]) if self.num_pooled else nn.Identity()
        self.layers = nn.ModuleList(
            BiFPNLayer(out_channels, num_outs, momentum) for _ in range(num_layers)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(N, C_i, H_i, W_i) each -> (N, out_channels, H / 2^k, W / 2^k) per level."""
        outs = [lateral(x) for lateral, x in zip(self.laterals, inputs)]
        skips = outs[:1] + [skip(x) for skip, x in zip(self.skips, inputs[1:])]
        x = self.extra(inputs[-1])
        for _ in range(self.num_pooled):
            x = downsample(x)
            outs.append(x)
            skips.append(x)
        first, *rest = self.layers
        outs = first(outs, skips)
        for layer in rest:
            outs = layer(outs)
        return tuple(outs)
