"""Layers that torch has no module for: channel LayerNorm, stochastic depth, resizing, downsampling."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

EPS = 1e-6  # of every LayerNorm in the network


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of an (N, C, H, W) tensor.

    Args:
        channels: C.
        eps: Added to the variance. Default: 1e-6.
    """

    def __init__(self, channels: int, eps: float = EPS) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)  # (N, C, H, W)


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
        if not 0 <= rate < 1:
            raise ValueError(f'drop path rate {rate} is not in [0, 1)')
        self.rate = rate
        self.enabled = rate > 0
        # a tensor, so that torch.compile does not compile a block for each rate
        self.register_buffer('keep', torch.tensor(1.0 - rate), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.enabled or not self.training:
            return x
        mask = torch.bernoulli(self.keep.expand(x.shape[0])) / self.keep
        return x * mask.to(x.dtype).view(-1, *(1,) * (x.ndim - 1))

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3f}'


def add(x: Tensor, y: Tensor) -> Tensor:
    """Return x + y; without gradients it is written into ``y``, which must be of no further use.

    A forward hook that keeps ``y``, the output of a block's last layer, must clone it: ``y`` changes.
    """
    if torch.is_grad_enabled() or x.dtype != y.dtype:
        return x + y
    return y.add_(x)


Run = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]  # ``compute`` or ``recompute``


def compute(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)``; its activations are kept for the backward pass."""
    return function(x)


def is_traced() -> bool:
    """Whether an exporter, or torch.compile, which chooses by itself what to keep, is recording."""
    if torch.jit.is_tracing():
        return True
    if hasattr(torch.compiler, 'is_compiling'):
        return torch.compiler.is_compiling()
    return torch._dynamo.is_compiling()  # torch < 2.3


def is_plain_cpu(x: Tensor) -> bool:
    """Whether ``x`` is computed on a processor, without mixed precision, and not traced."""
    if x.device.type != 'cpu' or is_traced():
        return False
    try:
        return not torch.is_autocast_enabled('cpu')
    except TypeError:  # torch < 2.4
        return not torch.is_autocast_cpu_enabled()


def recompute(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)``; only ``x`` is kept for the backward pass, which computes the rest again.

    It stops at the last activation that it needs: in GELU -> linear, the matrix product is not
    repeated. The gradients are the same.

    Args:
        function: Draws no random numbers.
        x: Its input.
    """
    if not torch.is_grad_enabled() or is_traced():
        return function(x)
    return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
