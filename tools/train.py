#!/usr/bin/env python3
"""Trains the model of a config: a detector, a segmenter or a classifier."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmcednet_arguments import add_common_arguments
from mmcednet_threads import limit_threads

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    add_common_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help="checkpoint with the backbone's initial weights: a file, a URL, or the name of weights "
        'that come with mmcednet (nano)',
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
    parser.add_argument(
        '--early-stopping',
        type=int,
        metavar='N',
        help='stop after N validations without a better one: by the metric of save_best, AP, mIoU or '
        'accuracy',
    )
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> 'Runner':
    """Apply the options to the config, and build the runner."""
    # not above: they import torch, which --help does not need
    from mmengine.logging import print_log

    from mmcednet.checkpoints.resuming import check_no_training
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.files import check_writable
    from mmcednet.launch import config
    from mmcednet.launch.processes import is_restartable
    from mmcednet.launch.runner import prepare_runner

    refuse_code()
    cfg = config.load_config(args)
    if args.amp:
        config.enable_amp(cfg)
    if args.auto_scale_lr:
        config.enable_auto_scale_lr(cfg)
    if args.early_stopping is not None:
        config.enable_early_stopping(cfg, args.early_stopping)
    if args.pretrained and args.resume not in (None, 'auto'):
        raise ValueError(
            f'--pretrained {args.pretrained} has no effect with --resume {args.resume}, which has all '
            f'weights; use one of them'
        )
    if args.pretrained:
        config.set_pretrained(cfg, args.pretrained)
    if args.resume is None and is_restartable():
        print_log('torchrun restarts this training when it fails: as with --resume', 'current')
        args.resume = 'auto'
    work_dir = Path(cfg.work_dir)
    check_writable(work_dir)
    if args.resume:
        config.set_resume(cfg, args.resume)
    elif not cfg.get('resume'):
        check_no_training(work_dir)
    return prepare_runner(cfg, 'train', args.compile)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    from mmcednet.launch.commands import run_training
    from mmcednet.launch.console import show_training

    return run_training(partial(prepare, args), show_training)


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
