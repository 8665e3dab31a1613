"""Counts what a block launches on a GPU, and the bytes that are read and written, without a GPU.

    python benchmarks/traffic.py --channels 96

In mixed precision, of images of 800x1280 at stride 4. Tensors have no data, so that this takes seconds.
An operator of torch counts as one kernel, which reads its inputs and writes its outputs once; GPUs
launch more for some, such as LayerNorm's gradients. Kernels on weights alone are in brackets, without
bytes.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

# before Triton is imported: there may be no GPU to compile for
os.environ['MMCEDNET_TRITON'] = os.environ['TRITON_INTERPRET'] = '1'

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from triton.runtime.interpreter import GridExecutor

from mmcednet.models import apply_recompute, kernels, use_kernels
from mmcednet.models.blocks import MIXERS

SIZE = (200, 320)  # of an 800x1280 image at stride 4


class Counter(TorchDispatchMode):
    """Counts kernels and bytes; ``features``: elements of the smallest tensor that is not a weight."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.kernels = self.weight_kernels = self.bytes = 0

    def add(self, tensors: list[Any]) -> None:
        large = [x for x in tensors if isinstance(x, Tensor) and x.numel() >= self.features]
        self.kernels += bool(large)
        self.weight_kernels += not large
        self.bytes += sum(x.numel() * x.element_size() for x in large)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace == 'mmcednet':  # what it consists of
            with self:
                return torch._library.custom_ops.OPDEFS[function.name()]._init_fn(
                    *args, **(kwargs or {})
                )
        out = function(*args, **(kwargs or {}))
        if launches_kernel(
            function, [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)], out
        ):
            self.add(tree_leaves((args, kwargs, out)))
        return out

    def launch(self, executor: Any, *args: Any, **kwargs: Any) -> None:
        """Count a kernel in Triton; one argument, the gradient in GELU's, is both read and written."""
        tensors = [*args, *kwargs.values()]
        if executor.fn.__name__ == 'gelu_backward_kernel':
            tensors.append(args[executor.arg_names.index('grad_ptr')])
        self.add(tensors)


def launches_kernel(function: Any, inputs: list[Tensor], out: Any) -> bool:
    """Whether an operator computes something, rather than a view or memory without values."""
    if function.namespace == 'prim' or 'empty' in function.name():
        return False
    storages = {x.untyped_storage()._cdata for x in inputs}
    outs = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
    is_view = all(x.untyped_storage()._cdata in storages for x in outs)
    return function._schema.is_mutable or not is_view


@contextlib.contextmanager
def pretend_gpu(counter: Counter) -> Iterator[None]:
    """Let the CPU use the operators of a GPU, and LayerNorm in float32 as autocast has it there."""

    def layer_norm(x: Tensor, *args: Any, compute: Any = F.layer_norm) -> Tensor:
        return compute(x.float() if torch.is_autocast_enabled('cpu') else x, *args)

    def launch(*args: Any, **kwargs: Any) -> None:
        counter.launch(*args, **kwargs)

    plain = (*kernels.PLAIN, FakeTensor)
    with (
        mock.patch.object(GridExecutor, '__call__', launch),
        mock.patch.object(kernels, 'runs_triton', lambda device: True),
        mock.patch.object(kernels, 'PLAIN', plain),
        mock.patch.object(F, 'layer_norm', layer_norm),
    ):
        yield


def count(block: nn.Module, x: Tensor, train: bool) -> list[Counter]:
    """Of the forward pass, and in training the backward pass."""
    counters = [Counter(x.numel())]
    with (
        pretend_gpu(counters[0]),
        counters[0],
        torch.autocast('cpu', torch.bfloat16),
        torch.set_grad_enabled(train),
    ):
        out = block(x)
    if train:
        counters.append(Counter(x.numel()))
        with pretend_gpu(counters[1]), counters[1]:
            out.backward(torch.empty_like(out))
    return counters


def measure(build: Any, channels: int, batch: int, enabled: bool, train: bool) -> list[Counter]:
    with FakeTensorMode():
        block = build(channels, 3, 0, 1e-6).train(train)
        block.drop_path.set_rate(0.1)
        apply_recompute(block, 'cheap')
        use_kernels(block, enabled)
        dtype = torch.bfloat16 if enabled else torch.float32  # as the block before it returns
        x = torch.empty(batch, channels, *SIZE, dtype=dtype)
        x = x.to(memory_format=torch.channels_last).requires_grad_(train)
        return count(block, x, train)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--channels', type=int, default=96, help='default: 96')
    parser.add_argument('--batch', type=int, default=8, help='images; default: 8')
    args = parser.parse_args()
    print('| block | inference | GB | training: forward | GB | backward | GB | step, GB, quotient |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- |')
    for name, mixer in MIXERS.items():
        for kind, build in (('', mixer.block), (', long-range', mixer.long_range_block)):
            total = {}
            for enabled in (False, True):
                counters = [
                    each
                    for train in (False, True)
                    for each in measure(build, args.channels, args.batch, enabled, train)
                ]
                total[enabled] = sum(each.bytes for each in counters[1:])
                cells = [
                    f'{each.kernels} ({each.weight_kernels}) | {each.bytes / 1e9:.2f}'
                    for each in counters
                ]
                quotient = f'{total[True] / total[False]:.2f}' if enabled else '1'
                label = f'{name}{kind}, {"operators" if enabled else "plain torch"}'
                print(f'| {label} | {" | ".join(cells)} | {total[enabled] / 1e9:.2f}, {quotient} |')


if __name__ == '__main__':
    main()
