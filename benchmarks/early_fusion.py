#!/usr/bin/env python3
"""Compares networks of equal cost, ConvNeXt with FPN and CEDNets, on a dataset, with several seeds.

Each network gets the learning rate and the weight decay that are best on the validation images, or
those of --recipe.
Finished runs are kept in a JSON file: a second call continues where the first one stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from fusion.arguments import add_dataset_arguments, add_models_argument, add_run_arguments
from fusion.report import write_report
from fusion.results import Results, Trainer
from fusion.specs import NETWORKS, REFERENCE
from fusion.training import NONE, Run, check_device

from mmcednet.command_line import check_positive, exit_on_error


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset_arguments(parser)
    add_models_argument(parser)
    parser.add_argument(
        '--reference',
        choices=NETWORKS,
        default=REFERENCE,
        metavar='MODEL',
        help=f'network that the others are compared with in the table; default: {REFERENCE}',
    )
    parser.add_argument(
        '--iters', type=int, default=800, help='iterations of 4 images, 16 on a GPU; default: 800'
    )
    parser.add_argument(
        '--scale',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='detectors: size in px that images are resized to; default: chosen as by new_config.py',
    )
    parser.add_argument(
        '--recipe',
        type=float,
        nargs=2,
        metavar=('RATE', 'DECAY'),
        help='learning rate and weight decay of all models; default: chosen for each on the validation '
        'images',
    )
    parser.add_argument(
        '--weights',
        type=Path,
        metavar='FOLDER',
        help='initial weights of the backbones, MODEL.safetensors, as pretraining.py writes them; '
        'default: random ones',
    )
    parser.add_argument(
        '--device',
        choices=('cpu', 'cuda'),
        default='cpu',
        help='cuda: in mixed precision, with batches of 16 images that three processes load for each '
        'training; default: cpu',
    )
    add_run_arguments(parser, Path(__file__), seeds=5)
    args = parser.parse_args(argv)
    check_positive(parser, args, 'seeds', 'iters', 'jobs')
    large = [model for model in args.models if NETWORKS[model].size != 'nano']
    if large and args.framework != 'retinanet':
        parser.error(f'{large[0]} is for --framework retinanet, not for {args.framework}')
    return args


def check_weights(folder: Path, models: Sequence[str]) -> None:
    """Check that there are initial weights.

    Raises:
        FileNotFoundError: Those of a network are missing.
    """
    for model in models:
        path = folder / f'{model}.safetensors'
        if not path.is_file():
            raise FileNotFoundError(
                f'the initial weights {path} do not exist; benchmarks/pretraining.py writes such files'
            )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        check_device(args.device)
        if args.weights:
            check_weights(args.weights, args.models)
        results = Results(args.results or args.out / 'results.json')
        scale = tuple(args.scale) if args.scale else None
        name = args.data.resolve().name
        weights = NONE if args.weights is None else args.weights.resolve().name
        runs = [
            Run(name, args.framework, model, 1, args.iters, 0.0, 0.0, scale, weights, args.device)
            for model in args.models
        ]
        trainer = Trainer(results, args.data, args.out, args.jobs, args.weights)
        if args.recipe:
            lr, weight_decay = args.recipe
            tuned = [replace(run, lr=lr, weight_decay=weight_decay) for run in runs]
        else:
            tuned = trainer.tune(runs)
        trainer.train(replace(run, seed=seed) for seed in range(1, args.seeds + 1) for run in tuned)
        pretrained = args.weights is not None
        write_report(results, runs[0], args.out, args.reference, pretrained)
    return 0


if __name__ == '__main__':
    sys.exit(main())
