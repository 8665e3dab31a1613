"""The operators on a CPU. Arguments are those of ``reference``."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from . import reference
from .gradients import differentiate

COLUMNS = 3  # of a kernel, at most, for which torch's gradient of the weights is fast
CHUNK_BYTES = 2**21  # of hidden activations, so that they stay in a core's second-level cache


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Depth-wise convolution; a dilated one, for which torch has no fast kernel, on grids of pixels."""
    if dilation == 1:
        return DepthwiseConvFunction.apply(x, weight, bias)
    grids = split_grids(x, dilation)
    y = DepthwiseConvFunction.apply(grids, weight, bias)
    return merge_grids(y, dilation, *x.shape[2:])


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
    """Depth-wise convolution whose weights' gradient is computed for a few columns at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return reference.depthwise_conv(x, weight, bias, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # correlated with the mirrored kernel; torch.nn.grad.conv2d_input copies to another layout
            grad_x = reference.depthwise_conv(grad, weight.flip(2, 3), None, 1)
        if ctx.needs_input_grad[1]:
            grad_weight = compute_weight_gradient(x, weight, grad)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias


def compute_weight_gradient(x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
    """The gradient of a depth-wise convolution's weights (C, 1, K, K), from that of its output."""
    kernel, width = weight.shape[-1], x.shape[-1]
    # padded in advance, as the fast gradient refuses to pad images that are smaller than the kernel
    padded = F.pad(x, [kernel // 2] * 4)
    parts = []
    for start in range(0, kernel, COLUMNS):
        columns = weight[..., start : start + COLUMNS]
        shifted = padded[..., start : start + columns.shape[-1] - 1 + width]
        parts.append(conv2d_weight(shifted, columns.shape, grad, groups=len(weight)).squeeze(1))
    return torch.cat(parts, dim=2).view_as(weight)


def mlp(
    x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor, gamma: Tensor | None
) -> Tensor:
    """The MLP, for as many pixels at a time as stay in the cache."""
    operands = (x, weight1, bias1, weight2, bias2, gamma)
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in operands):
        return MLPFunction.apply(*operands)
    return compute_mlp(None, *operands)


def compute_mlp(
    hidden: Tensor | None,
    x: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
) -> Tensor:
    """Compute :func:`mlp` without gradients.

    Args:
        hidden: Gets the hidden activations before GELU, (pixels, D), unless it is None.
    """
    rows = x.reshape(-1, x.shape[-1])
    size = compute_chunk_size(hidden_channels=len(bias1), element_size=x.element_size())
    out = torch.empty_like(rows)
    buffer = rows.new_empty(min(size, len(rows)), len(bias1))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        activated = buffer[: len(part)]
        h = activated if hidden is None else hidden[start : start + size]
        torch.addmm(bias1, part, weight1.t(), out=h)
        torch.ops.aten.gelu.out(h, out=activated)
        result = torch.addmm(bias2, activated, weight2.t(), out=out[start : start + size])
        if gamma is not None:
            result.mul_(gamma)
    return out.view(x.shape)


def compute_chunk_size(hidden_channels: int, element_size: int) -> int:
    """Number of pixels whose hidden activations fill the cache."""
    return max(1, CHUNK_BYTES // (hidden_channels * element_size))


class MLPFunction(torch.autograd.Function):
    """The MLP with gradients.

    Its input and the hidden activations before GELU are kept for the backward pass, but neither GELU's
    output nor the second linear layer's.
    """

    @staticmethod
    def forward(ctx: Any, *operands: Any) -> Tensor:
        x, weight1, *_ = operands
        hidden = x.new_empty(x.numel() // x.shape[-1], len(weight1))
        ctx.save_for_backward(*operands, hidden)
        return compute_mlp(hidden, *operands)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *operands, hidden = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: gradients that can be differentiated
            return differentiate(reference.mlp, operands, grad, ctx.needs_input_grad)
        x, weight1, _, weight2, bias2, gamma = operands
        rows, grads = x.reshape(-1, x.shape[-1]), grad.reshape(-1, x.shape[-1])
        grad_rows = torch.empty_like(rows)
        grad_weight1, product = torch.zeros_like(weight1), torch.zeros_like(weight2)
        grad_bias1 = hidden.new_zeros(hidden.shape[1])
        size = compute_chunk_size(hidden.shape[1], hidden.element_size())
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            h = hidden[part]
            torch.addmm(product, grads[part].t(), F.gelu(h), out=product)
            scaled = grads[part] if gamma is None else grads[part] * gamma
            grad_h = torch.ops.aten.gelu_backward(scaled @ weight2, h)
            torch.addmm(grad_weight1, grad_h.t(), rows[part], out=grad_weight1)
            grad_bias1 += grad_h.sum(0)
            torch.mm(grad_h, weight1, out=grad_rows[part])
        grad_bias2 = grads.sum(0)
        grad_gamma = None
        if gamma is not None:
            grad_gamma = (product * weight2).sum(1) + grad_bias2 * bias2
            product.mul_(gamma[:, None])
            grad_bias2 = grad_bias2 * gamma
        return grad_rows.view(x.shape), grad_weight1, grad_bias1, product, grad_bias2, grad_gamma
