#!/usr/bin/env python3
"""Trains the model of a config: a detector, a segmenter or a classifier."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

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
from mmcednet.engine.files import check_writable
from mmcednet.engine.images import ImageError
from mmcednet.engine.safe_loading import refuse_code
from mmcednet.models import compile_blocks
from mmcednet.training import explain_faults, protect_training, write_atomically
from mmcednet.training.resuming import find_resumable


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
    if args.resume is None and launch.is_restarted():
        print_log('Restarted by torchrun: as with --resume', 'current')
        args.resume = 'auto'
    check_writable(Path(cfg.work_dir))
    if args.resume:
        set_resumed(cfg, args.resume)
    launch.adapt_to_device(cfg)
    launch.init_process_group(cfg)
    check_data(cfg, 'train', 'val')
    for loader in ('train', 'val'):
        config.name_images_in_errors(cfg, loader)
    write_atomically()
    protect_training(cfg)
    runner = launch.build_runner(cfg)
    check_features(runner.model)
    launch.warn_about_batch_size(runner)
    launch.warn_about_random_weights(runner)
    check_pretrained(runner.model)
    check_start(runner)
    check_segmentation(runner, 'train', 'val')
    if args.compile:
        compile_blocks(runner.model)
    return runner


def set_resumed(cfg: Config, checkpoint: str) -> None:
    """Go on from a checkpoint: a file, or 'auto' for the latest one of the work dir, if any."""
    found = find_resumable(Path(cfg.work_dir)) if checkpoint == 'auto' else checkpoint
    cfg.resume = found is not None
    if found is not None:
        cfg.load_from = str(found)
    else:
        print_log(
            f'{cfg.work_dir} has no checkpoint: the training starts from its beginning',
            'current',
            logging.WARNING,
        )


def check_start(runner: Runner) -> None:
    """Check the checkpoint that the training starts from or goes on from, if any."""
    checkpoint = runner.cfg.get('load_from')
    if checkpoint and runner.cfg.get('resume'):
        check_resumable(runner.model, checkpoint)
    elif checkpoint:
        load_checkpoint(checkpoint)


def train(args: argparse.Namespace) -> None:
    """Train, with errors of one sentence."""
    with exit_on_error():
        runner = prepare(args)
    with explain_faults(runner), exit_on_error(ImageError):
        runner.train()


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        train(args)
    except SystemExit as error:
        raise error.with_traceback(None) from None  # the traceback would keep the runner
    finally:
        launch.destroy_process_group()
    return 0


if __name__ == '__main__':
    sys.exit(main())
