#!/usr/bin/env python3
"""Trains and evaluates a very small CEDNet on generated images and draws its predictions."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcv.ops import get_compiling_cuda_version

from mmcednet.data.shapes import draw_dataset
from mmcednet.demo import training as demo
from mmcednet.engine.command_line import exit_on_error

ROOT = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--framework',
        default='retinanet',
        help='framework to train: a folder of configs/ with a demo config; default: retinanet',
    )
    parser.add_argument('--seed', type=int, default=0, help='for data and training; default: 0')
    args = parser.parse_args(argv)
    with exit_on_error():
        config = demo.find_demo_config(ROOT / 'configs', args.framework)
        data = draw_dataset(ROOT / 'data' / f'shapes-{args.seed}', 1200, 100, 96, args.seed)
    if get_compiling_cuda_version() == 'not available':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # detectors need mmcv's CUDA operators on the GPU
        if shutil.which('nvidia-smi'):
            print('mmcv was compiled without CUDA, so the GPU is not used; see docs/installation.md')
    demo.run_demo(config, data, ROOT / 'work_dirs' / f'demo-{args.framework}-{args.seed}', args.seed)
    return 0


if __name__ == '__main__':
    sys.exit(main())
