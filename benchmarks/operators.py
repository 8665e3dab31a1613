#!/usr/bin/env python3
"""Times the operators in Triton on a GPU with several tiles, beside torch and the memory's floor.

    python benchmarks/operators.py --write

In bfloat16, at the widths and strides of an arch. The floor is the time in which a copy on this GPU
moves the features that the operator reads and writes. With --write, the best tiles are written into
mmcednet/models/kernels/triton/tiles.json: those with the least sum of the times at all widths.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported
os.environ['MMCEDNET_TRITON'] = '1'  # before mmcednet is imported

import torch
from rich.progress import track
from torch import Tensor

from mmcednet.analysis import speed
from mmcednet.command_line import check_positive, exit_on_error
from mmcednet.files import atomic_write
from mmcednet.models import ARCHS, kernels
from mmcednet.models.cuda_graphs import capture
from mmcednet.models.kernels import reference

DTYPE = torch.bfloat16
STRIDES = (4, 8, 16, 32)
CALLS = 10  # in one graph, so that a replay takes longer than its launch
HEADER = ('operator', 'C', 'floor (us)', 'torch (us)', 'now (us)', 'best (us)', 'best tiles')

Operands = dict[str, Tensor]
Settings = dict[str, Any]  # name of a constant of tiles.py -> value


class Case(NamedTuple):
    """An operator at one width."""

    channels: int
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    bytes: int  # of features that are read or written


class Tunable(NamedTuple):
    """An operator, and the tiles that it may have."""

    name: str
    candidates: list[Settings]
    cases: list[Case]


def combine(**choices: Sequence[int]) -> list[dict[str, int]]:
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


def make_operands(channels: int, stride: int, args: argparse.Namespace) -> Operands:
    size = [max(1, length // stride) for length in args.size]

    def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, device=args.device, dtype=dtype)

    hidden = 4 * channels
    return dict(
        x=draw(args.batch, *size, channels, dtype=DTYPE),
        grad=draw(args.batch, *size, channels, dtype=DTYPE),
        kernel=draw(channels, 1, 7, 7),
        weight=draw(channels),
        bias=draw(channels),
        weight1=draw(hidden, channels) / channels**0.5,
        bias1=draw(hidden),
        weight2=draw(channels, hidden) / hidden**0.5,
    )


def differentiate(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor, rest: Sequence[Any]
) -> Callable[[], Any]:
    """Return a function that computes an output, as a CUDA graph must, and the inputs' gradients."""
    inputs = [each.detach().requires_grad_() for each in inputs]

    def compute() -> None:
        with torch.enable_grad():
            out = function(*inputs, *rest)
        torch.autograd.grad(out, inputs, grad.to(out.dtype))

    return compute


def convolve(module: Any, t: Operands, dilation: int) -> Callable[[], Any]:
    x = t['x'].permute(0, 3, 1, 2)
    return lambda: module.depthwise_conv(x, t['kernel'], t['bias'], dilation)


def sum_kernel_gradient(module: Any, t: Operands) -> Callable[[], Any]:
    x, grad = t['x'].permute(0, 3, 1, 2), t['grad'].permute(0, 3, 1, 2)
    return differentiate(
        lambda kernel: module.depthwise_conv(x, kernel, None, 3), [t['kernel']], grad, ()
    )


def normalise(module: Any, t: Operands) -> Callable[[], Any]:
    return lambda: module.norm_act(t['x'], t['weight'], t['bias'], 1e-6, True, t['grad'])


def differentiate_norm(module: Any, t: Operands) -> Callable[[], Any]:
    inputs = [t['x'], t['weight'], t['bias']]
    return differentiate(module.norm_act, inputs, t['grad'], (1e-6, True))


def differentiate_mlp(module: Any, t: Operands) -> Callable[[], Any]:
    names = ('x', 'weight1', 'bias1', 'weight2', 'bias')
    return differentiate(module.mlp, [t[name] for name in names], t['grad'], (t['weight'],))


def compute_mlp(module: Any, t: Operands) -> Callable[[], Any]:
    names = ('weight1', 'bias1', 'weight2', 'bias', 'weight')
    weights, norm = [t[name] for name in names], (t['weight'], t['bias'], 1e-6, False, None)
    return lambda: module.norm_mlp(t['x'], *norm, *weights, t['grad'], None)


def make_case(make: Callable, t: Operands, features: int) -> Case:
    """An operator's case, which reads or writes the features so many times."""
    channels, moved = t['x'].shape[-1], features * t['x'].nbytes
    return Case(channels, make(kernels.triton, t), make(reference, t), moved)


def list_tunables(args: argparse.Namespace) -> Iterator[Tunable]:
    tiles = get_tiles()
    operands = [
        make_operands(channels, stride, args)
        for channels, stride in zip(ARCHS[args.arch]['channels'], STRIDES)
        if channels in (args.channels or [channels])
    ]
    weights = combine(rows=(1,), columns=(8, 16, 32), channels=(32, 64), warps=(4, 8))
    name = "dilated convolution with its weights' gradient"
    rows: list[tuple[str, Callable, int, list[Settings]]] = [
        (name, sum_kernel_gradient, 4, [{'CONV_WEIGHT': tiles.ConvTile(**tile)} for tile in weights])
    ]
    outputs = combine(rows=(4, 8), columns=(8, 16, 32), channels=(32, 64), warps=(4, 8))
    outputs.remove(dict(rows=8, columns=32, channels=64, warps=4))  # more than the registers hold
    for dilation in tiles.CONV:
        settings = [{'CONV': {dilation: tiles.ConvTile(**tile)}} for tile in outputs]
        compute = partial(convolve, dilation=dilation)
        rows.append((f'convolution, dilation {dilation}', compute, 2, settings))
    settings = combine(NORM_ELEMENTS=(2048, 4096, 8192), NORM_WARPS=(4, 8))
    rows.append(('LayerNorm, GELU, shortcut', normalise, 3, settings))
    settings = combine(NORM_BACKWARD_WARPS=(4, 8, 16))
    rows.append(('LayerNorm, GELU with gradients', differentiate_norm, 5, settings))
    settings = combine(ROWS=(16, 32, 64), COLUMNS=(64, 128), GELU_BACKWARD_WARPS=(4, 8))
    rows.append(('MLP with gradients', differentiate_mlp, 5, settings))
    for name, make, features, settings in rows:
        yield Tunable(name, settings, [make_case(make, t, features) for t in operands])
    for t in operands:  # each width has its own tiles
        yield tune_mlp(make_case(compute_mlp, t, 3), args.device)


def tune_mlp(case: Case, device: torch.device) -> Tunable:
    """The second half of a block, which is one kernel where it is narrow."""
    tiles = get_tiles()
    assert kernels.triton is not None
    table = tiles.choose_mlp_table(kernels.triton.fused_mlp.get_shared_memory(device))
    limit = next((limit for limit in getattr(tiles, table) if case.channels <= limit), None)
    if limit is None:
        return Tunable('LayerNorm, MLP, residual', [], [case])
    choices = combine(pixels=(64, 128), hidden=(32, 64), warps=(4, 8), stages=(2, 3))
    settings = [{table: {limit: tiles.MLPTile(**tile)}} for tile in choices]
    return Tunable('LayerNorm, MLP, residual in one kernel', settings, [case])


def get_tiles() -> Any:
    """The module of the tiles, whose constants are changed."""
    assert kernels.triton is not None
    return kernels.triton.tiles


def set_tiles(settings: Settings) -> None:
    """Set constants of tiles.py; of those that are dicts, the given keys."""
    tiles = get_tiles()
    for name, value in settings.items():
        setattr(tiles, name, {**getattr(tiles, name), **value} if isinstance(value, dict) else value)


def get_settings(names: Sequence[str]) -> Settings:
    return {name: getattr(get_tiles(), name) for name in names}


def measure(function: Callable[[], Any], args: argparse.Namespace) -> float:
    """Seconds of one call of a function, the GPU's alone; infinity if the tiles do not fit into it."""

    calls = CALLS if args.device.type == 'cuda' else 1

    def call() -> None:
        with torch.autocast(args.device.type, DTYPE):
            for _ in range(calls):
                function()

    try:
        step = capture(call, args.device)[0].replay if args.device.type == 'cuda' else call
        return min(speed.time_once(step, args.device) for _ in range(args.rounds)) / calls
    except Exception as error:  # Triton's have no common class
        if 'out of resource' not in str(error) and 'OutOfResources' not in type(error).__name__:
            raise
        return float('inf')


def tune(tunable: Tunable, bandwidth: float, args: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Set the best tiles of an operator; yield a row of the table for each width."""
    now = get_settings(list(tunable.candidates[0]) if tunable.candidates else [])
    candidates = [now, *tunable.candidates[: args.candidates]]  # the first one changes nothing
    times = []
    for settings in candidates:
        set_tiles(settings)
        times.append([measure(case.ours, args) for case in tunable.cases])
    best = min(range(len(candidates)), key=lambda index: sum(times[index]))
    set_tiles(candidates[best])
    for index, case in enumerate(tunable.cases):
        values = case.bytes / bandwidth, measure(case.theirs, args), times[0][index], times[best][index]
        shown = (
            ', '.join(f'{name}={value}' for name, value in candidates[best].items()) if best else 'now'
        )
        yield (tunable.name, str(case.channels), *(f'{1e6 * value:.1f}' for value in values), shown)


def write_tiles() -> None:
    """Write the constants into tiles.json."""
    tiles = get_tiles()

    def to_json(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): to_json(each) for key, each in value.items()}
        return value._asdict() if isinstance(value, tuple) else value

    table = {name: to_json(getattr(tiles, name)) for name in tiles.TABLE}
    with atomic_write(tiles.FILE) as path:
        path.write_text(json.dumps(table, indent=1) + '\n', encoding='utf-8')


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--arch', choices=ARCHS, default='tiny', help='default: tiny')
    parser.add_argument(
        '--channels', type=int, nargs='+', help='widths, among those of the arch; default: all'
    )
    parser.add_argument('--batch', type=int, default=8, help='images; default: 8')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(800, 1280), metavar=('H', 'W'), help='default: 800 1280'
    )
    parser.add_argument('--rounds', type=int, default=5, help='of which the best counts; default: 5')
    parser.add_argument(
        '--candidates', type=int, help='tiles to try of each operator; default: all of its table'
    )
    parser.add_argument('--device', type=torch.device, default='cuda', help='default: cuda')
    parser.add_argument('--write', action='store_true', help='write the best tiles into tiles.json')
    args = parser.parse_args(argv)
    check_positive(parser, args, 'batch', 'rounds')
    widths = ARCHS[args.arch]['channels']
    for channels in args.channels or ():
        if channels not in widths:
            parser.error(f'--channels {channels} must be one of the widths of {args.arch}, {widths}')
    return args


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        if kernels.triton is None or not kernels.runs_triton(args.device):
            reason = kernels.explain_without_triton() or f'{args.device} is too old'
            raise ValueError(f'there are no operators in Triton to time: {reason}')
        if args.device.type == 'cuda':
            print(speed.describe_gpu(args.device))
        bandwidth = speed.measure_machine(args.device, DTYPE).bandwidth
        print('| ' + ' | '.join(HEADER) + ' |', '| --- ' * len(HEADER) + '|', sep='\n')
        for tunable in track(list(list_tunables(args)), 'timing'):
            for row in tune(tunable, bandwidth, args):
                print('| ' + ' | '.join(row) + ' |', flush=True)
            if args.write:
                write_tiles()
    return 0


if __name__ == '__main__':
    sys.exit(main())
