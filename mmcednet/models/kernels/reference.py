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
