"""The operators on a GPU, channels-last. Arguments are those of ``reference``.

Results are of autocast's type where it is enabled, otherwise of that of ``x``; sums are in float32.
Operators are registered with torch, so that torch.compile keeps them. Weights may be of another type
than the features.
"""

from typing import Any

import torch
from torch import Tensor

from ..autocast import LOW_PRECISION, get_autocast_dtype
from . import fused_mlp, tiles
from .convolution import convolve
from .cublas_mlp import mlp as compute_mlp
from .fused_mlp import INTERPRETED, compute_fused_mlp
from .norm import norm_act as normalise

__all__ = ['INTERPRETED', 'depthwise_conv', 'mlp', 'norm_act', 'norm_mlp', 'residual_mlp', 'tiles']


def choose_dtype(x: Tensor) -> torch.dtype:
    """The type in which an operator on ``x`` computes: autocast's, if it is enabled."""
    return get_autocast_dtype(x.device.type) or x.dtype


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Depth-wise convolution; at dilation 1, the weights' gradient is cuDNN's."""
    return convolve(x.to(choose_dtype(x)), weight, bias, dilation, False)


def norm_act(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    gelu: bool,
    shortcut: Tensor | None = None,
) -> Tensor:
    """LayerNorm, GELU and shortcut in one pass."""
    return normalise(x, weight, bias, eps, gelu, shortcut, choose_dtype(x))


def mlp(
    x: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    fuse: bool = True,
) -> Tensor:
    """The MLP; with ``fuse``, narrow ones without gradients in low precision are one kernel."""
    weights = (weight1, bias1, weight2, bias2, gamma)
    if fuse and can_fuse(x, len(bias1), *weights):
        return fuse_mlp(x, None, None, 0.0, False, False, None, *weights, None)
    return compute_mlp(x, *weights, None, None, choose_dtype(x), need_gradients(x, *weights))[0]


def residual_mlp(x: Tensor, *operands: Tensor | None) -> Tensor:
    """The MLP, with the residual and the factors of stochastic depth in its last pass."""
    return compute_mlp(x, *operands, choose_dtype(x), need_gradients(x, *operands))[0]


def norm_mlp(x: Tensor, *operands: Any, fuse: bool = True) -> Tensor:
    """Norm, MLP and residual; as for :func:`mlp`, narrow ones in one kernel."""
    norm_weight, norm_bias, eps, gelu, shortcut, *weights, residual, factors = operands
    operands = (norm_weight, norm_bias, shortcut, *weights, residual)
    if fuse and factors is None and can_fuse(x, len(weights[1]), *operands):
        return fuse_mlp(x, norm_weight, norm_bias, eps, True, gelu, shortcut, *weights, residual)
    z = norm_act(x, norm_weight, norm_bias, eps, gelu, shortcut)
    return residual_mlp(z, *weights, residual, factors)


def need_gradients(*operands: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in operands)


def can_fuse(x: Tensor, hidden: int, *operands: Tensor | None) -> bool:
    """Whether an MLP of features ``x`` with so many hidden channels is computed in one kernel."""
    if choose_dtype(x) not in LOW_PRECISION or need_gradients(x, *operands):
        return False
    return fused_mlp.can_fuse(x.shape[-1], hidden)


def fuse_mlp(x: Tensor, *operands: Any) -> Tensor:
    *norm, weight1, bias1, weight2, bias2, gamma, residual = operands
    dtype = choose_dtype(x)
    weights = (weight1.to(dtype), bias1, weight2.to(dtype), bias2, gamma)
    return compute_fused_mlp(x, *norm, *weights, residual)
