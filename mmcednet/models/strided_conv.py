"""Strided convolutions, without a fault of torch's on CPUs."""

import torch
from torch import Tensor, nn

from .kernels.autocast import LOW_PRECISION, get_autocast_dtype


class StridedConv2d(nn.Conv2d):
    """A convolution with a stride that is right in low precision on a CPU, too.

    Arguments as of nn.Conv2d.
    oneDNN's kernels for AMX (torch 2.10, bfloat16) read uninitialised memory where the output is one
    pixel wide: forward if it is at least four high, and for the weights' gradient of 3x3 kernels. Such
    an output is computed in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != 'cpu':
            return super().forward(x)
        dtype = get_autocast_dtype('cpu') or x.dtype
        # the width last: it is not known in an exported graph
        if dtype not in LOW_PRECISION or self.count_columns(x.shape[-1]) > 1:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast('cpu', enabled=False):
            return self._conv_forward(x.float(), self.weight.float(), bias).to(dtype)

    def count_columns(self, width: int) -> int:
        """The width of the output."""
        padding = 0 if isinstance(self.padding, str) else self.padding[1]  # 'valid'
        extent = self.dilation[1] * (self.kernel_size[1] - 1) + 1
        return (width + 2 * padding - extent) // self.stride[1] + 1


def replace_strided_convolutions(model: nn.Module) -> None:
    """Let the strided convolutions of any network be right in low precision on a CPU, in place."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.stride[1] > 1:
            module.__class__ = StridedConv2d
