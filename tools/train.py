#!/usr/bin/env python3
"""Trains the model of a config: a detector, a segmenter or a classifier."""

import argparse
import sys
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from mmcednet.engine import config, launch
from mmcednet.engine.checks import (
    check_data,
    check_features,
    check_pretrained,
    check_resumable,
    check_segmentation,
    load_checkpoint,
)
from mmcednet.engine.command_line import exit_on_error
from mmcednet.engine.safe_loading import refuse_code
from mmcednet.models import compile_blocks


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    launch.add_common_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help="checkpoint with the backbone's initial weights, a file or a URL",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint; default: the latest one in the work dir',
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size'
    )
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> Runner:
    """Build the runner and run the pre-flight checks."""
    refuse_code()
    cfg = config.load_config(args)
    if args.amp:
        config.enable_amp(cfg)
    if args.auto_scale_lr:
        config.enable_auto_scale_lr(cfg)
    if args.pretrained and args.resume not in (None, 'auto'):
        raise ValueError(
            f'--pretrained {args.pretrained} has no effect with --resume {args.resume}, which has all '
            f'weights; use one of them'
        )
    if args.pretrained:
        config.set_pretrained(cfg, args.pretrained)
    if args.resume is None and launch.is_restarted() and find_latest_checkpoint(cfg.work_dir):
        print_log('Restarted by torchrun: as with --resume')
        args.resume = 'auto'
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    launch.adapt_to_device(cfg)
    launch.init_process_group(cfg)
    check_data(cfg, 'train', 'val')
    runner = launch.build_runner(cfg)
    check_features(runner.model)
    launch.warn_about_batch_size(runner)
    launch.warn_about_random_weights(runner)
    check_pretrained(runner.model)
    check_start(runner, args.resume)
    check_segmentation(runner, 'train', 'val')
    if args.compile:
        compile_blocks(runner.model)
    return runner


def check_start(runner: Runner, resume: str | None) -> None:
    """Check the checkpoint that the training starts from or goes on from, if any."""
    checkpoint = runner.cfg.get('load_from')
    if resume == 'auto':
        checkpoint = find_latest_checkpoint(runner.work_dir)
    if checkpoint and resume:
        check_resumable(runner.model, checkpoint)
    elif checkpoint:
        load_checkpoint(checkpoint)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        with exit_on_error():
            runner = prepare(parse_args(argv))
        runner.train()
    finally:
        launch.destroy_process_group()
    return 0


if __name__ == '__main__':
    sys.exit(main())
