#!/usr/bin/env python3
"""Evaluates a checkpoint class by class and image by image: tables and pictures in a folder."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmcednet_arguments import add_common_arguments, add_model_arguments
from mmcednet_threads import limit_threads

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        help='folder of the report, whose files are replaced; default: WORK_DIR/evaluation',
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        metavar='FILE',
        help="detectors: annotation file in COCO's format; default: the config's test data",
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='FOLDER',
        help='folder of the images of --annotations; default: the folder of that file',
    )
    add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> 'Runner':
    """Apply the options to the config, and build the runner."""
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.launch import config
    from mmcednet.launch.runner import prepare_runner
    from mmcednet.report.hook import TASKS, ReportHook

    refuse_code()
    cfg = config.load_config(args)
    if cfg.get('default_scope') not in TASKS:
        raise ValueError(
            f'{args.config} has the default scope {cfg.get("default_scope")!r}; choose one of: '
            f'{", ".join(TASKS)}'
        )
    cfg.load_from = args.checkpoint
    if args.annotations:
        config.set_test_data(cfg, args.annotations, args.images or args.annotations.parent)
    elif args.images:
        raise ValueError(f'--images {args.images} needs --annotations, the file that belongs to it')
    runner = prepare_runner(cfg, 'test', args.compile)
    runner.register_hook(ReportHook(args.out or Path(runner.work_dir, 'evaluation')))
    return runner


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    from mmcednet.launch.commands import run_test

    return run_test(partial(prepare, args))


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
