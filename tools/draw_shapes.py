#!/usr/bin/env python3
"""Draws a dataset of coloured shapes with boxes, masks and label maps, or one object per image."""

import argparse
import sys
from collections.abc import Sequence

from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', help='folder of the dataset')
    parser.add_argument('--train', type=int, default=1200, help='training images; default: 1200')
    parser.add_argument('--val', type=int, default=100, help='validation images; default: 100')
    parser.add_argument('--test', type=int, default=0, help='test images; default: 0, no test split')
    parser.add_argument('--size', type=int, default=96, help='height and width in px; default: 96')
    parser.add_argument('--seed', type=int, default=0, help='determines the images; default: 0')
    parser.add_argument('--single', action='store_true', help='one object per image')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.command_line import exit_on_error
    from mmcednet.data.shapes import draw_dataset

    with exit_on_error():
        draw_dataset(**vars(args))
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
