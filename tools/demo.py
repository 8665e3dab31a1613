#!/usr/bin/env python3
"""Draws a small data set, trains a very small CEDNet on it, evaluates it and draws what it finds."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from mmcv.ops import get_compiling_cuda_version

from mmcednet.data import shapes
from mmcednet.demo import training as demo

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--framework', default='retinanet', help='a folder of configs; default: retinanet'
    )
    parser.add_argument('--seed', type=int, default=0, help='of data and training; default: 0')
    args = parser.parse_args()
    config = demo.find_config(ROOT / 'configs', args.framework)
    if get_compiling_cuda_version() == 'not available':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # a detector on the GPU needs mmcv's CUDA operators
        if shutil.which('nvidia-smi'):
            print('mmcv was compiled without CUDA, so the GPU is not used; the README says how to')
    data = shapes.draw(ROOT / 'data' / f'shapes-{args.seed}', 1200, 100, 96, args.seed)
    demo.run(config, data, ROOT / 'work_dirs' / f'demo-{args.framework}-{args.seed}', args.seed)


if __name__ == '__main__':
    try:
        main()
    except ValueError as error:
        sys.exit(f'error: {error}')
