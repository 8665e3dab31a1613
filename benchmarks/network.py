#!/usr/bin/env python3
"""Times networks in turn on this machine, and compares them with the first one.

A MODEL is a config file, or a backbone with the pyramid of RetinaNet: an arch of CEDNet such as 'tiny',
or 'plain:tiny', the same network written the straightforward way (benchmarks/plain.py). Backbones need
torch and mmengine only.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from plain import build_plain_cednet
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

from mmcednet.analysis import speed
from mmcednet.engine.command_line import exit_on_error
from mmcednet.engine.files import atomic_write
from mmcednet.models import ARCHS, CEDNet

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
PYRAMID = dict(levels=(3, 4, 5, 6, 7))
COLUMNS = ('model', 'params (M)', 'GFLOP', 'median (ms)', 'spread', 'speed', 'memory (MiB)')
COLUMNS += ('GFLOP/s', 'of matrix rate', 'of bandwidth')
OPERATORS = 20  # lines of a profile


class Backbone(nn.Module):
    """A backbone and its neck."""

    def __init__(self, backbone: nn.Module, neck: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck

    def forward(self, images: Tensor) -> Any:
        features = self.backbone(images)
        return features if self.neck is None else self.neck(features)


def build_model(name: str, part: str) -> nn.Module:
    """Build a MODEL; see the module's docstring.

    Args:
        name: Config file, arch, or 'plain:' and an arch.
        part: Of a config: 'backbone', with neck, or 'model'.

    Raises:
        ValueError: There is no such arch or file.
    """
    arch = name.removeprefix('plain:')
    if arch in ARCHS:
        build = build_plain_cednet if name.startswith('plain:') else CEDNet
        return Backbone(build(arch, pyramid=PYRAMID), None)
    if not Path(name).is_file():
        raise ValueError(f'{name} is neither a config file nor one of: {", ".join(ARCHS)}, plain:ARCH')
    cfg = Config.fromfile(name)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if part == 'backbone':
            neck = cfg.model.get('neck')
            return Backbone(MODELS.build(cfg.model.backbone), neck and MODELS.build(neck))
        return MODELS.build(cfg.model)


def make_forward(model: nn.Module, images: Tensor, mode: str) -> Callable[[], Any]:
    """Return a function that computes outputs, or for 'train' a loss.

    Raises:
        ValueError: The model needs more than images.
    """
    if isinstance(model, Backbone):
        run = model
    elif hasattr(model, 'roi_head') or hasattr(model, 'decoder'):
        raise ValueError('whole models must be dense ones, such as RetinaNet; use --part backbone')
    else:
        run = partial(model, mode='tensor')

    def forward() -> Any:
        outs = run(images)
        if mode == 'infer':
            return outs
        return sum(out.float().mean() for out in tree_leaves(outs))

    return forward


def make_step(
    forward: Callable[[], Any], model: nn.Module, args: argparse.Namespace
) -> Callable[[], Any]:
    """Return what is timed: inference, or a forward and a backward pass."""
    autocast = partial(
        torch.autocast, args.device.type, DTYPES[args.dtype], enabled=args.dtype != 'float32'
    )

    def infer() -> None:
        with torch.no_grad(), autocast():
            forward()

    def train() -> None:
        model.zero_grad()
        with autocast():
            loss = forward()
        loss.backward()

    return train if args.mode == 'train' else infer


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all models; return a row of ``COLUMNS`` for each."""
    device = args.device
    images = torch.randn(args.batch, 3, *args.size, device=device)
    machines = [speed.measure_machine(device, DTYPES[args.dtype])]
    steps, rows = {}, []
    for name in args.models:
        model = build_model(name, args.part).to(device).train(args.mode == 'train')
        forward = make_forward(model, images, args.mode)
        step = make_step(forward, model, args)
        work = speed.count_work(step)
        if device.type == 'cuda':
            memory = speed.measure_peak_memory(step, device)
        else:
            memory = speed.count_saved_bytes(forward, model.parameters()) if args.mode == 'train' else 0
        if args.profile:
            print_profile(name, step)
        if args.compile:
            model.compile()
        steps[name] = step
        params = sum(param.numel() for param in model.parameters()) / 1e6
        rows.append(dict(model=name, params=params, work=work, memory=memory / 2**20))
    seconds = speed.time_in_turn(steps, args.rounds, device)
    machines.append(speed.measure_machine(device, DTYPES[args.dtype]))
    machine = speed.Machine(*map(max, *machines))  # its speed may vary
    first = statistics.median(seconds[args.models[0]])
    table = []
    for row in rows:
        median = statistics.median(seconds[row['model']])
        flops, traffic = row['work']
        values = (
            *(row['model'], row['params'], flops / 1e9, 1e3 * median),
            *(speed.compute_spread(seconds[row['model']]), first / median, row['memory']),
            *(
                flops / median / 1e9,
                flops / median / machine.flops,
                traffic / median / machine.bandwidth,
            ),
        )
        table.append(dict(zip(COLUMNS, values)))
    return table


def print_profile(name: str, step: Callable[[], Any]) -> None:
    """Print where the time of one call goes, by operator."""
    activities = [ProfilerActivity.CPU]
    key = 'self_cpu_time_total'
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
        key = 'self_cuda_time_total'
    with profile(activities=activities) as profiler:
        step()
    print(f'{name}:')
    print(profiler.key_averages().table(sort_by=key, row_limit=OPERATORS, max_name_column_width=40))


def format_table(table: Sequence[dict[str, Any]]) -> str:
    """Make a Markdown table."""
    forms = (
        '{}',
        '{:.1f}',
        '{:.1f}',
        '{:.1f}',
        '±{:.1%}',
        '{:.3f}',
        '{:.0f}',
        '{:.1f}',
        '{:.0%}',
        '{:.0%}',
    )
    lines = ['| ' + ' | '.join(COLUMNS) + ' |', '| --- ' * len(COLUMNS) + '|']
    for row in table:
        cells = [form.format(row[column]) for form, column in zip(forms, COLUMNS)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('models', nargs='+', metavar='MODEL')
    parser.add_argument('--part', choices=('model', 'backbone'), default='model', help='default: model')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(800, 1280), metavar=('H', 'W'), help='default: 800 1280'
    )
    parser.add_argument('--batch', type=int, default=1, help='images; default: 1')
    parser.add_argument('--mode', choices=('infer', 'train'), default='infer', help='default: infer')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='autocast; default: float32')
    parser.add_argument('--device', type=torch.device, help='default: the GPU if there is one')
    parser.add_argument('--compile', action='store_true', help='compile the models with torch.compile')
    parser.add_argument('--rounds', type=int, default=10, help='timed calls per model; default: 10')
    parser.add_argument('--profile', action='store_true', help='print the time by operator')
    parser.add_argument('--json', type=Path, help='also write the table to this file')
    args = parser.parse_args(argv)
    args.device = args.device or torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    for name in ('batch', 'rounds'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} {getattr(args, name)} must be at least 1')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        table = measure(args)
    print(format_table(table))
    if args.json:
        with atomic_write(args.json) as path:
            path.write_text(json.dumps(table, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
