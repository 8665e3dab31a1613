"""Faster ways to compute what the layers of the network compute, as functions of tensors.

An operator has the same name and arguments in each of its implementations: ``reference``, plain torch,
which says what it computes, and ``cpu``. :func:`find` decides which one is used. Nothing here imports
the network; :mod:`mmcednet.models.execution` puts the operators into it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from . import cpu

PLAIN = (Tensor, nn.Parameter)  # other subclasses, such as quantised tensors, compute in their own way


def find(operator: str, x: Tensor, *weights: Tensor | None) -> Callable[..., Tensor] | None:
    """Return the implementation of an operator that is the fastest for its operands.

    Args:
        operator: Name of a function of ``reference``.
        x: The operator's features.
        weights: Its other operands.

    Returns:
        The implementation; None if the layers should compute it themselves: on a GPU, in mixed
        precision, under torch.compile, an exporter or a transform of torch.func.
    """
    if is_traced() or is_transformed():
        return None
    if any(type(operand) not in PLAIN for operand in (x, *weights) if operand is not None):
        return None
    if x.device.type == 'cpu' and not is_autocast_enabled():
        return getattr(cpu, operator)
    return None


def is_traced() -> bool:
    """Whether an exporter is recording, or torch.compile, which makes operators of its own."""
    if torch.jit.is_tracing():
        return True
    if hasattr(torch.compiler, 'is_compiling'):
        return torch.compiler.is_compiling()
    return torch._dynamo.is_compiling()  # torch < 2.3


def is_transformed() -> bool:
    """Whether a transform of torch.func is active: grad, vmap, jvp or another."""
    return torch._C._are_functorch_transforms_active()


def is_autocast_enabled() -> bool:
    """Whether a CPU computes in mixed precision."""
    try:
        return torch.is_autocast_enabled('cpu')
    except TypeError:  # torch < 2.4
        return torch.is_autocast_cpu_enabled()
