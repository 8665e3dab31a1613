#!/usr/bin/env python3
"""Evaluates a checkpoint with the metrics of its config; draws and saves its predictions."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mmcednet_arguments import add_common_arguments, add_model_arguments, add_prediction_arguments
from mmcednet_threads import limit_threads

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    add_common_arguments(parser)
    add_prediction_arguments(parser)
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test with the config's test-time augmentation, for example several scales and flips",
    )
    parser.add_argument(
        '--out', help='save the predictions: FILE.pkl, or for segmenters a folder of label maps'
    )
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='draw the predictions into this folder of the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='for --show, in s; default: 2')
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> 'Runner':
    """Apply the options to the config, and build the runner."""
    # not above: they import torch, which --help does not need
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.launch import config
    from mmcednet.launch.runner import prepare_runner

    refuse_code()
    cfg = config.load_config(args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        config.enable_visualization(cfg, args.show_dir, args.show, args.wait_time)
    if args.tta:
        config.enable_tta(cfg)
    if args.out:
        config.save_predictions(cfg, args.out)
    return prepare_runner(cfg, 'test', args.compile, args.amp, args.cuda_graph)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    from mmcednet.launch.commands import run_test

    return run_test(partial(prepare, args))


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
