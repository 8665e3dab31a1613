"""Operators of mmcednet.models.kernels compared with their reference in float64, on any device."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mmcednet.models.kernels import reference

# of the largest value: about ten times the rounding of one result, as results are sums of several
TOLERANCES = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}


def draw(*shape: int, dtype: torch.dtype = torch.float32, device: Any = 'cpu') -> Tensor:
    return torch.randn(shape).to(device, dtype)


def draw_weights(channels: int, device: Any = 'cpu') -> list[Tensor]:
    """Of an MLP, with outputs of about 1."""
    shapes = ((4 * channels, channels), (4 * channels,), (channels, 4 * channels), (channels,))
    weight1, bias1, weight2, bias2 = (draw(*shape, device=device) for shape in shapes)
    scales = channels**0.5, (4 * channels) ** 0.5
    return [weight1 / scales[0], bias1, weight2 / scales[1], bias2, draw(channels, device=device)]


def compare(
    module: ModuleType,
    operator: str | Callable[[ModuleType], Callable[..., Tensor]],
    operands: Sequence[Any],
    tolerance: float,
    create_graph: bool = False,
) -> list[Tensor]:
    """Compare output and gradients of all operands with the reference in float64.

    Args:
        module: Implementation.
        operator: Its name, or what returns it of a module.
        operands: Its arguments.
        tolerance: Error of a result, of its largest value.
        create_graph: Compare second derivatives, too. Default: False.

    Returns:
        Output, output without gradients, and gradients of the implementation.
    """
    get = attrgetter(operator) if isinstance(operator, str) else operator

    def compute(function: Callable[..., Tensor], dtype: torch.dtype | None = None) -> list[Tensor]:
        inputs = [
            each.detach().clone(memory_format=torch.preserve_format).to(dtype or each.dtype)
            if isinstance(each, Tensor)
            else each
            for each in operands
        ]
        tensors = [each.requires_grad_() for each in inputs if isinstance(each, Tensor)]
        out = function(*inputs)
        torch.manual_seed(0)
        grads = torch.autograd.grad(
            out, tensors, torch.randn(out.shape).to(out), create_graph=create_graph
        )
        if create_graph:
            loss = sum(grad.square().sum() for grad in grads)
            grads += torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            return [out, function(*inputs), *grads]

    ours, theirs = compute(get(module)), compute(get(reference), torch.float64)
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).abs().max() <= tolerance * their.abs().max()
    return ours
