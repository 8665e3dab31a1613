"""Layers that torch has no module for: channel LayerNorm, MLP, stochastic depth, resizing."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6  # of every LayerNorm in the network
KERNEL = 7  # of the depth-wise convolutions


def to_channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)  # (N, H, W, C)


def to_channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)  # (N, C, H, W)


class LayerNorm(nn.LayerNorm):
    """Layer normalisation over the channels of an (N, H, W, C) tensor.

    Args:
        channels: C.
        eps: Added to the variance. Default: 1e-6.
    """

    def __init__(self, channels: int, eps: float = EPS) -> None:
        super().__init__(channels, eps=eps)


class LayerNorm2d(LayerNorm):
    """Layer normalisation over the channels of an (N, C, H, W) tensor.

    Args:
        channels: C.
        eps: Added to the variance. Default: 1e-6.
    """

    def forward(self, x: Tensor) -> Tensor:
        return to_channels_first(super().forward(to_channels_last(x)))


class NormAct2d(LayerNorm2d):
    """:class:`LayerNorm2d`, then GELU, for (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        # GELU in (N, C, H, W): gradients arrive in either memory layout, and for a contiguous
        # (N, H, W, C) input with a gradient that is not contiguous the backward pass of GELU in
        # torch 2.1 on the CPU returns uninitialised memory
        return F.gelu(super().forward(x))


class DepthwiseConv2d(nn.Conv2d):
    """Depth-wise 7x7 convolution that keeps H and W, for (N, C, H, W).

    Args:
        channels: C.
        dilation: Distance of the kernel's elements in px. Default: 1.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        padding = KERNEL // 2 * dilation
        super().__init__(
            channels, channels, KERNEL, padding=padding, dilation=dilation, groups=channels
        )


class MLP(nn.Module):
    """Linear C -> 4C, GELU, Linear 4C -> C, scaled per channel by ``gamma`` (layer scale).

    Takes and returns (N, H, W, C): with contiguous channels a linear layer is one matrix product,
    which is faster than a 1x1 convolution.

    Args:
        channels: C.
        layer_scale: Initial value of gamma; 0 leaves gamma out. Default: 0.
    """

    def __init__(self, channels: int, layer_scale: float = 0.0) -> None:
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = (
            nn.Parameter(torch.full((channels,), float(layer_scale))) if layer_scale > 0 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.pwconv2(self.act(self.pwconv1(x)))
        return x if self.gamma is None else self.gamma * x


class DropPath(nn.Module):
    """Stochastic depth: drops the residual branch of random samples during training.

    Kept samples are divided by the keep probability, so the expectation is unchanged; in evaluation
    this is the identity.

    Args:
        rate: Probability of dropping, in [0, 1).
    """

    keep: Tensor

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        # a tensor, so that torch.compile does not compile a block for each rate
        self.register_buffer('keep', torch.ones(()), persistent=False)
        self.set_rate(rate)
        self.register_load_state_dict_post_hook(restore_rate)

    def set_rate(self, rate: float) -> None:
        """Change the rate.

        Raises:
            ValueError: It is not in [0, 1).
        """
        if not 0 <= rate < 1:
            raise ValueError(f'drop path rate {rate} is not in [0, 1)')
        self.rate = rate
        self.enabled = rate > 0
        self.keep.fill_(1.0 - rate)

    def draw_factors(self, x: Tensor) -> Tensor | None:
        """A factor for each sample of (N, ...), 0 or 1 / keep probability, (N,); None if all are 1."""
        if not self.enabled or not self.training:
            return None
        keep = self.keep.to(x.device)  # it stays behind where weights are assigned, not loaded
        return torch.bernoulli(keep.expand(x.shape[0])) / keep

    def forward(self, x: Tensor) -> Tensor:
        factors = self.draw_factors(x)
        return x if factors is None else x * factors.to(x.dtype).view(-1, *(1,) * (x.ndim - 1))

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3f}'


def restore_rate(drop_path: DropPath, _: Any) -> None:
    """Fill the buffer, which no checkpoint has, of a network that was built on the device 'meta'."""
    if drop_path.keep.is_meta:  # weights are assigned
        drop_path.keep = torch.ones(())
    drop_path.set_rate(drop_path.rate)


def build_downsample(
    in_channels: int, out_channels: int, norm: Callable[[int], nn.Module]
) -> nn.Sequential:
    """conv2x2 with stride 2 and norm; an odd last row or column of (N, C, H, W) is dropped."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 2, stride=2), norm(out_channels))


def resize_to(x: Tensor, target: Tensor, mode: str = 'bilinear') -> Tensor:
    """Resize ``x`` to the H and W of ``target``: x2, except for odd sizes.

    Args:
        x: (N, C, H, W).
        target: Features of another level.
        mode: 'bilinear' or 'nearest'. Default: 'bilinear'.
    """
    return F.interpolate(x, size=target.shape[-2:], mode=mode)
