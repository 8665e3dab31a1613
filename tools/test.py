#!/usr/bin/env python3
"""Evaluates a checkpoint: prints the metrics of its config, draws and saves its predictions."""

import argparse
import sys

from mmengine.runner import Runner

from mmcednet.engine import launch
from mmcednet.engine.checks import check_checkpoint, check_data, check_levels
from mmcednet.engine.checks.segmentation import check_segmentation


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    launch.add_common_arguments(parser)
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test with the config's augmentations: several scales, flipped",
    )
    parser.add_argument(
        '--out', help='save the predictions: FILE.pkl, or of a segmenter the folder of label maps'
    )
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='draw the predictions into this folder of the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='of --show, in s; default: 2')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> Runner:
    """The runner, once all that can be checked before the test has been."""
    cfg = launch.load_config(args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        launch.draw_predictions(cfg, args.show_dir, args.show, args.wait_time)
    if args.tta:
        launch.use_tta(cfg)
    if args.out:
        launch.save_predictions(cfg, args.out)
    launch.adapt_to_device(cfg)
    check_data(cfg, 'test')
    runner = launch.build_runner(cfg)
    check_levels(runner.model)
    check_checkpoint(runner.model, args.checkpoint)
    check_segmentation(runner, 'test')
    return runner


if __name__ == '__main__':
    try:
        runner = prepare(parse_args())
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    runner.test()
    launch.destroy_process_group()
