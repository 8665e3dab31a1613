"""Operands of the kernels, which read those without strides as contiguous."""

from torch import Tensor


def to_contiguous(*operands: Tensor | None) -> list[Tensor | None]:
    """Each operand, copied only where it is not contiguous, as a slice with steps is not."""
    return [None if operand is None else operand.contiguous() for operand in operands]
