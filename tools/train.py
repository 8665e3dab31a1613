#!/usr/bin/env python3
"""Trains what a config describes: a detector, a segmenter or a classifier."""

import argparse
import sys

from mmengine.runner import Runner

from mmcednet.engine import launch
from mmcednet.engine.checks import check_checkpoint, check_data, check_levels
from mmcednet.engine.checks.segmentation import check_segmentation


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    launch.add_common_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the latest in the work dir',
    )
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the rate by the batch size')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> Runner:
    """The runner, once all that can be checked before training has been."""
    cfg = launch.load_config(args)
    if args.amp:
        launch.use_amp(cfg)
    if args.auto_scale_lr:
        launch.auto_scale_lr(cfg)
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    launch.adapt_to_device(cfg)
    check_data(cfg, 'train', 'val')
    runner = launch.build_runner(cfg)
    check_levels(runner.model)
    launch.warn_of_batch_size(runner)
    if args.resume and cfg.load_from:
        check_checkpoint(runner.model, cfg.load_from)
    check_segmentation(runner, 'train', 'val')
    return runner


if __name__ == '__main__':
    try:
        runner = prepare(parse_args())
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    runner.train()
    launch.destroy_process_group()
