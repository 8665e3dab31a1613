"""The MLP of the blocks (paper, section 3.3)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Run, compute, is_plain_cpu, recompute

CHUNK_BYTES = 2**21  # of hidden activations, so that they stay in a processor's second-level cache
HOOKS = (
    '_forward_hooks',
    '_forward_pre_hooks',
    '_backward_hooks',
    '_backward_pre_hooks',
)  # of nn.Module


class MLP(nn.Module):
    """Linear C -> 4C, GELU, Linear 4C -> C, scaled per channel by ``gamma`` (layer scale).

    Takes and returns (N, H, W, C): with contiguous channels a linear layer is one matrix product,
    which is faster than a 1x1 convolution.

    Args:
        channels: C.
        layer_scale: Initial value of gamma; 0 leaves gamma out. Default: 0.
        run: ``recompute`` does not keep the output of GELU for the backward pass. Default: ``compute``.
    """

    def __init__(self, channels: int, layer_scale: float = 0.0, run: Run = compute) -> None:
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = (
            nn.Parameter(torch.full((channels,), float(layer_scale))) if layer_scale > 0 else None
        )
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        keep = torch.is_grad_enabled()
        chunked = self.is_unchanged() and is_plain_cpu(x)
        if chunked and (self.run is recompute or not keep):
            weights = (self.pwconv1.weight, self.pwconv1.bias, self.pwconv2.weight, self.pwconv2.bias)
            return ChunkedMLP.apply(x, *weights, self.gamma, keep)
        x = self.run(lambda x: self.pwconv2(self.act(x)), self.pwconv1(x))
        return x if self.gamma is None else self.gamma * x

    def is_unchanged(self) -> bool:
        """Whether the layers are as constructed: not replaced, by an adapter say, and without hooks."""
        layers = (self.pwconv1, self.act, self.pwconv2)
        return (
            [type(layer) for layer in layers] == [nn.Linear, nn.GELU, nn.Linear]
            and self.act.approximate == 'none'
            and self.pwconv1.bias is not None
            and self.pwconv2.bias is not None
            and not any(getattr(layer, hooks) for layer in layers for hooks in HOOKS)
        )


class ChunkedMLP(torch.autograd.Function):
    """The MLP on a processor: as many pixels at a time as stay in its cache.

    For the backward pass it keeps the input and the first linear layer's output, but not those of GELU
    and of the second linear layer.

    Raises:
        RuntimeError: A derivative of its gradients would be needed (``create_graph=True``).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight1: Tensor,
        bias1: Tensor,
        weight2: Tensor,
        bias2: Tensor,
        gamma: Tensor | None,
        keep: bool,
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        size = max(1, CHUNK_BYTES // (bias1.numel() * x.element_size()))
        out = torch.empty_like(rows)
        hidden = rows.new_empty(len(rows) if keep else min(size, len(rows)), bias1.numel())
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            h = hidden[start : start + size] if keep else hidden[: len(part)]
            torch.addmm(bias1, part, weight1.t(), out=h)
            activated = F.gelu(h) if keep else torch.ops.aten.gelu_(h)
            result = torch.addmm(bias2, activated, weight2.t(), out=out[start : start + size])
            if gamma is not None:
                result.mul_(gamma)
        if keep:
            ctx.size = size
            ctx.save_for_backward(rows, hidden, weight1, weight2, bias2, gamma)
        return out.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "recompute='cheap' has no second derivatives on a CPU (create_graph=True); build the "
                "network with recompute='none'"
            )
        rows, hidden, weight1, weight2, bias2, gamma = ctx.saved_tensors
        grads = grad.reshape(rows.shape)
        grad_rows = torch.empty_like(rows)
        grad_weight1, product = torch.zeros_like(weight1), torch.zeros_like(weight2)
        grad_bias1 = hidden.new_zeros(hidden.shape[1])
        for start in range(0, len(rows), ctx.size):
            part = slice(start, start + ctx.size)
            h = hidden[part]
            torch.addmm(product, grads[part].t(), F.gelu(h), out=product)
            scaled = grads[part] if gamma is None else grads[part] * gamma
            grad_h = torch.ops.aten.gelu_backward(scaled @ weight2, h)
            torch.addmm(grad_weight1, grad_h.t(), rows[part], out=grad_weight1)
            grad_bias1 += grad_h.sum(0)
            torch.mm(grad_h, weight1, out=grad_rows[part])
        total = grads.sum(0)
        grad_gamma = None
        if gamma is not None:
            grad_gamma = (product * weight2).sum(1) + total * bias2
            product.mul_(gamma[:, None])
            total = total * gamma
        return grad_rows.view_as(grad), grad_weight1, grad_bias1, product, total, grad_gamma, None
