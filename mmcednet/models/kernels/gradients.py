"""Gradients that can be differentiated again, for operators whose own gradients cannot."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def differentiate(
    function: Callable[..., Tensor], operands: Sequence[Any], grad: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of a function in plain torch, computed so that they can be differentiated again.

    Args:
        function: An operator of ``reference``.
        operands: Its arguments. Tensors of several types are converted to the widest of them.
        grad: Gradient of its output.
        needed: For each operand, whether its gradient is needed.

    Returns:
        For each operand, its gradient, or None.
    """
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    dtype = functools.reduce(torch.promote_types, (each.dtype for each in tensors))
    with torch.enable_grad():
        out = function(*(each.to(dtype) if isinstance(each, Tensor) else each for each in operands))
    inputs = [operand for operand, need in zip(operands, needed) if need]
    grads = iter(torch.autograd.grad(out, inputs, grad.to(dtype), create_graph=True))
    return tuple(next(grads) if need else None for need in needed)
