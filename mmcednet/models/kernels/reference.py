"""The operators in plain torch: what each of them computes."""

import torch.nn.functional as F
from torch import Tensor


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Depth-wise convolution that keeps H and W.

    Args:
        x: (N, C, H, W).
        weight: (C, 1, K, K), K odd.
        bias: (C,), or None.
        dilation: Distance of the kernel's elements in px.

    Returns:
        (N, C, H, W).
    """
    padding = weight.shape[-1] // 2 * dilation
    return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=len(weight))


def mlp(
    x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor, gamma: Tensor | None
) -> Tensor:
    """gamma * Linear(GELU(Linear(x))).

    Args:
        x: (..., C).
        weight1: (D, C).
        bias1: (D,).
        weight2: (C, D).
        bias2: (C,).
        gamma: (C,), or None for 1.

    Returns:
        (..., C).
    """
    y = F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)
    return y if gamma is None else gamma * y


def norm_act(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    gelu: bool,
    shortcut: Tensor | None = None,
) -> Tensor:
    """shortcut + GELU(LayerNorm(x)), over the last dimension.

    Args:
        x: (..., C).
        weight: (C,), or None for 1.
        bias: (C,); None if ``weight`` is.
        eps: Added to the variance.
        gelu: Whether there is a GELU.
        shortcut: (..., C), or None for 0. Default: None.

    Returns:
        (..., C).
    """
    y = F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    y = F.gelu(y) if gelu else y
    return y if shortcut is None else shortcut + y


def residual_mlp(
    x: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    residual: Tensor,
    factors: Tensor | None,
) -> Tensor:
    """residual + factors * :func:`mlp`.

    Args:
        x: (N, H, W, C).
        weight1, bias1, weight2, bias2, gamma: As of :func:`mlp`.
        residual: (N, H, W, C).
        factors: Of stochastic depth, (N,), or None for 1.

    Returns:
        (N, H, W, C).
    """
    y = mlp(x, weight1, bias1, weight2, bias2, gamma)
    return residual + (y if factors is None else factors.view(-1, 1, 1, 1) * y)


def norm_mlp(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    eps: float,
    gelu: bool,
    shortcut: Tensor | None,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    residual: Tensor,
    factors: Tensor | None,
) -> Tensor:
    """:func:`residual_mlp` of :func:`norm_act`, the second half of a block.

    Arguments and result are as of these, in (N, H, W, C).
    """
    z = norm_act(x, norm_weight, norm_bias, eps, gelu, shortcut)
    return residual_mlp(z, weight1, bias1, weight2, bias2, gamma, residual, factors)
