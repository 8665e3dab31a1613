#!/usr/bin/env python3
"""Times networks in turn on this machine, and compares them with the first one.

A MODEL is a config file, or a backbone with the pyramid of RetinaNet: an arch of CEDNet such as 'tiny';
'none:tiny' or 'full:tiny', the same with another recompute; 'plain:tiny', the same in plain torch:
without the operators of mmcednet.models.kernels and with recompute 'none'. These need torch and
mmengine only. 'timm:convnext_tiny' or another network of timm gets mmdet's FPN, and is channels-last in
memory.
Detectors compute their losses with --mode train; other models, the mean of their outputs.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_flatten

from mmcednet.analysis import speed
from mmcednet.command_line import check_positive, exit_on_error
from mmcednet.files import atomic_write
from mmcednet.launch.threads import adapt_threads
from mmcednet.models import ARCHS, CEDNet
from mmcednet.models.cuda_graphs import capture, get_pool
from mmcednet.models.execution import RECOMPUTE

PYRAMID = dict(levels=(3, 4, 5, 6, 7))
PYRAMID_CHANNELS = 256
COLUMNS = ('model', 'params (M)', 'GFLOP', 'median (ms)', 'spread', 'speed', 'memory (MiB)')
COLUMNS += ('GFLOP/s', 'of matrix rate', 'of bandwidth')
FORMS = ('{}', '{:.1f}', '{:.1f}', '{:.1f}', '±{:.1%}')
FORMS += ('{:.3f}', '{:.0f}', '{:.1f}', '{:.0%}', '{:.0%}')
GRAPH_COLUMNS = ('graph (ms)', 'graph speed')
GRAPH_FORMS = ('{:.2f}', '{:.3f}')
OPERATORS = 20  # lines of a profile
BUILDERS: dict[str, Callable[..., nn.Module]] = {'': CEDNet}
BUILDERS['plain'] = partial(CEDNet, recompute='none', kernels=False)
BUILDERS |= {name: partial(CEDNet, recompute=name) for name in RECOMPUTE}
BOXES = 10  # objects per image in training


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
        name: Config file, or an arch, perhaps with a prefix among ``BUILDERS``.
        part: What is built of a config: 'backbone', with its neck, or 'model'.

    Raises:
        ValueError: There is no such arch or file.
    """
    prefix, _, arch = name.rpartition(':')
    if arch in ARCHS and prefix in BUILDERS:
        return Backbone(BUILDERS[prefix](arch, pyramid=PYRAMID), None)
    if prefix == 'timm':
        return build_of_timm(arch)
    if not Path(name).is_file():
        prefixes = ', '.join(f'{prefix}:ARCH' for prefix in BUILDERS if prefix)
        raise ValueError(
            f'{name} is neither a config file nor one of: {", ".join(ARCHS)}, {prefixes}, timm:NAME'
        )
    cfg = Config.fromfile(name)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if part == 'backbone':
            neck = cfg.model.get('neck')
            return Backbone(MODELS.build(cfg.model.backbone), neck and MODELS.build(neck))
        cfg.model.backbone.init_cfg = None  # no file is needed
        model = MODELS.build(cfg.model)
    model.init_weights()  # mmdet's DETRs are built with uninitialised memory
    return model


def build_of_timm(name: str) -> nn.Module:
    """Build a network of timm, from stride 8 on, with the FPN of mmdet's RetinaNet.

    Raises:
        ValueError: timm is not installed, or has no such network.
    """
    try:
        import timm
    except ImportError:
        raise ValueError(f"timm:{name} needs timm: pip install 'mmcednet[timm]'") from None
    from mmdet.models import FPN

    if not timm.is_model(name):
        raise ValueError(f'timm:{name} is no network of timm {timm.__version__}')
    backbone = timm.create_model(name, features_only=True, out_indices=(1, 2, 3))
    channels = backbone.feature_info.channels()
    neck = FPN(channels, PYRAMID_CHANNELS, len(PYRAMID['levels']), add_extra_convs='on_input')
    return Backbone(backbone, neck).to(memory_format=torch.channels_last)


def make_forward(model: nn.Module, images: Tensor, args: argparse.Namespace) -> Callable[[], Any]:
    """Return a function that computes outputs, or with --mode train a loss, in the type of --dtype."""
    training = args.mode == 'train'
    if isinstance(model, Backbone):
        run = partial(model, images)
    elif is_detector(model):
        run = make_detector_forward(model, images, training)
    else:
        run = partial(model, images, mode='tensor')
    dtype = speed.DTYPES[args.dtype]
    if dtype == torch.float32:  # which torch 2.1 refuses even in an autocast that is disabled
        autocast: Callable[[], Any] = nullcontext
    else:
        autocast = partial(torch.autocast, args.device.type, dtype)

    def forward() -> Any:
        with autocast():
            outs = run()
            if not training:
                return outs
            return sum(out.float().mean() for out in tree_flatten(outs)[0] if isinstance(out, Tensor))

    return forward


def is_detector(model: nn.Module) -> bool:
    from mmdet.models import BaseDetector

    return isinstance(model, BaseDetector)


def make_detector_forward(model: Any, images: Tensor, training: bool) -> Callable[[], Any]:
    """Return a function that computes the outputs of a detector of MMDetection, or its losses."""
    from mmdet.testing import demo_mm_inputs

    batch, *shape = images.shape
    data = demo_mm_inputs(batch, [shape] * batch, num_items=[BOXES] * batch, with_mask=model.with_mask)
    samples = model.data_preprocessor(data, training=True)['data_samples']
    for sample in samples:
        sample.gt_instances.labels.zero_()  # a class that every detector has
    if not training:
        return partial(model, images, samples, mode='tensor')
    return lambda: model(images, samples, mode='loss')


def make_step(
    forward: Callable[[], Any], model: nn.Module, args: argparse.Namespace
) -> Callable[[], Any]:
    """Return what is timed: inference, or a forward and a backward pass."""

    def infer() -> None:
        with torch.no_grad():
            forward()

    def train() -> None:
        model.zero_grad()
        forward().backward()

    return train if args.mode == 'train' else infer


class Candidate(NamedTuple):
    """A network to time, and what one call of it does."""

    params: float  # M
    work: speed.Work
    memory: float  # bytes
    step: Callable[[], Any]


def prepare(name: str, model: nn.Module, images: Tensor, args: argparse.Namespace) -> Candidate:
    """Count what a model does, and compile it with --compile."""
    forward = make_forward(model, images, args)
    step = make_step(forward, model, args)
    work = speed.count_work(step)
    if args.device.type == 'cuda':
        model.zero_grad()
        memory = speed.measure_peak_memory(step, args.device)
    else:
        memory = speed.count_saved_bytes(forward, model.parameters()) if args.mode == 'train' else 0
    if args.profile:
        print_profile(name, step, args.device)
    if args.compile:
        model.compile()
    params = sum(param.numel() for param in model.parameters())
    return Candidate(params / 1e6, work, memory, step)


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all models; return a row of ``COLUMNS`` for each."""
    device, dtype = args.device, speed.DTYPES[args.dtype]
    models = {
        name: build_model(name, args.part).to(device).train(args.mode == 'train')
        for name in args.models
    }
    if not args.compile:  # which compiles hooks, too
        for model in models.values():
            adapt_threads(model)
    machines = [speed.measure_machine(device, dtype)]
    images = torch.randn(args.batch, 3, *args.size, device=device)
    candidates = {name: prepare(name, model, images, args) for name, model in models.items()}
    steps = {name: candidate.step for name, candidate in candidates.items()}
    seconds = speed.time_in_turn(steps, args.rounds, device)
    graph_seconds = time_graphs(steps, args) if args.cuda_graph else {}
    machines.append(speed.measure_machine(device, dtype))
    machine = speed.Machine(*map(max, *machines))  # its speed may vary
    first = statistics.median(seconds[args.models[0]])
    first_graph = graph_seconds.get(args.models[0], math.nan)
    table = []
    for name, (params, work, memory, _) in candidates.items():
        median = statistics.median(seconds[name])
        flops = work.flops / median
        values = (
            *(name, params, work.flops / 1e9, 1e3 * median, speed.compute_spread(seconds[name])),
            *(first / median, memory / 2**20, flops / 1e9, flops / machine.flops),
            work.traffic / median / machine.bandwidth,
        )
        row = dict(zip(COLUMNS, values))
        if args.cuda_graph:
            own = graph_seconds[name]
            row |= dict(zip(GRAPH_COLUMNS, (1e3 * own, first_graph / own)))
        table.append(row)
    return table


def time_graphs(steps: Mapping[str, Callable[[], Any]], args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of what the GPU does in a step, without Python; NaN if it cannot be recorded."""
    replays = {}
    for name, step in steps.items():
        try:
            replays[name] = capture(step, args.device)[0].replay
        except RuntimeError as error:
            get_pool.cache_clear()  # the recording may have left it unusable
            print(f'{name}: no CUDA graph: {error}'.partition('\n')[0], file=sys.stderr)
    seconds = speed.time_in_turn(replays, args.rounds, args.device)
    return {name: statistics.median(seconds.get(name, [math.nan])) for name in steps}


def print_profile(name: str, step: Callable[[], Any], device: torch.device) -> None:
    """Print where the time of one call goes, by operator."""
    activities = [ProfilerActivity.CPU]
    if device.type == 'cuda':
        activities.append(ProfilerActivity.CUDA)
    key = f'self_{device.type}_time_total'
    with profile(activities=activities) as profiler:
        step()
    print(f'{name}:')
    print(profiler.key_averages().table(sort_by=key, row_limit=OPERATORS, max_name_column_width=40))


def format_table(table: Sequence[dict[str, Any]]) -> str:
    """Make a Markdown table."""
    forms = dict(zip(COLUMNS + GRAPH_COLUMNS, FORMS + GRAPH_FORMS))
    columns = list(table[0])
    lines = ['| ' + ' | '.join(columns) + ' |', '| --- ' * len(columns) + '|']
    for row in table:
        cells = [forms[column].format(row[column]) for column in columns]
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
    parser.add_argument(
        '--dtype', choices=speed.DTYPES, default='float32', help='autocast; default: float32'
    )
    parser.add_argument('--device', type=torch.device, help='default: the GPU if there is one')
    parser.add_argument('--compile', action='store_true', help='compile the models with torch.compile')
    parser.add_argument(
        '--cuda-graph',
        action='store_true',
        help='also time the GPU alone: the kernels of a call as a CUDA graph, without launching them',
    )
    parser.add_argument('--rounds', type=int, default=10, help='timed calls per model; default: 10')
    parser.add_argument('--profile', action='store_true', help='print the time by operator')
    parser.add_argument('--json', type=Path, help='also write the table to this file')
    args = parser.parse_args(argv)
    args.device = args.device or torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    check_positive(parser, args, 'batch', 'rounds')
    if len(set(args.models)) < len(args.models):
        parser.error(f'each MODEL must be given once, but there are: {" ".join(args.models)}')
    if args.device.type == 'cpu' and args.dtype == 'float16':
        parser.error('--dtype float16 needs a GPU; a CPU has float32 and bfloat16')
    if args.device.type != 'cuda' and args.cuda_graph:
        parser.error('--cuda-graph needs a GPU')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        table = measure(args)
    if args.device.type == 'cuda':
        print(speed.describe_gpu(args.device))
    print(format_table(table))
    if args.json:
        with atomic_write(args.json) as path:
            path.write_text(json.dumps(table, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
