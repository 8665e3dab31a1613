"""The depth-wise 7x7 convolutions of the blocks (paper, section 3.3)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from .layers import is_plain_cpu

KERNEL = 7
# Of the kernel. On a processor torch's gradient is fast for at most three columns, and slow for more
COLUMNS = (slice(0, 3), slice(3, 6), slice(6, 7))


class DepthwiseConv2d(nn.Conv2d):
    """Depth-wise 7x7 convolution that keeps H and W, for (N, C, H, W).

    On a processor, torch's own is slow where it is dilated and in its weights' gradient; there it is
    computed by convolutions that are fast, with the same result.

    Args:
        channels: C.
        dilation: Distance of the kernel's elements in px. Default: 1.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        padding = KERNEL // 2 * dilation
        super().__init__(
            channels, channels, KERNEL, padding=padding, dilation=dilation, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        if not is_plain_cpu(x):
            return super().forward(x)
        if self.dilation[0] == 1:
            return DepthwiseConvFunction.apply(x, self.weight, self.bias)
        grids = split_grids(x, self.dilation[0])
        y = DepthwiseConvFunction.apply(grids, self.weight, self.bias)
        return merge_grids(y, self.dilation[0], *x.shape[2:])


def split_grids(x: Tensor, step: int) -> Tensor:
    """Split (N, C, H, W) into the grids of every step-th pixel: (step^2 N, C, H / step, W / step).

    A dilated convolution is one without dilation on each of them. H and W are padded with zeros to
    multiples of ``step``; the result is channels-last in memory.
    """
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % step, 0, -height % step)).permute(0, 2, 3, 1)
    x = x.unflatten(2, (-1, step)).unflatten(1, (-1, step))  # (N, H / step, step, W / step, step, C)
    return x.permute(2, 4, 0, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)


def merge_grids(x: Tensor, step: int, height: int, width: int) -> Tensor:
    """Undo :func:`split_grids` for an image of ``height`` and ``width``."""
    x = x.permute(0, 2, 3, 1).unflatten(0, (step, step, -1))  # (step, step, N, H / step, W / step, C)
    x = x.permute(2, 3, 0, 4, 1, 5).flatten(3, 4).flatten(1, 2)
    return x[:, :height, :width].contiguous().permute(0, 3, 1, 2)


class DepthwiseConvFunction(torch.autograd.Function):
    """Depth-wise 7x7 convolution whose weights' gradient is computed for a few columns at a time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, padding=KERNEL // 2, groups=len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        padding, groups = KERNEL // 2, len(weight)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # correlated with the mirrored kernel; torch.nn.grad.conv2d_input copies to another layout
            grad_x = F.conv2d(grad, weight.flip(2, 3), padding=padding, groups=groups)
        if ctx.needs_input_grad[1]:
            # padded in advance, as the fast gradient refuses padding of images below 7x7
            padded, width = F.pad(x, [padding] * 4), x.shape[3]
            parts = [
                conv2d_weight(
                    padded[..., columns.start : columns.stop - 1 + width],
                    weight[..., columns].shape,
                    grad,
                    groups=groups,
                ).squeeze(1)
                for columns in COLUMNS
            ]
            grad_weight = torch.cat(parts, dim=2).view_as(weight)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias
