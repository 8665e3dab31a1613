#!/usr/bin/env python3
"""Puts CEDNet into a config of MMDetection, MMSegmentation or MMPretrain.

The config that it writes inherits from that one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, or for example mmdet::fcos/NAME.py')
    parser.add_argument('-o', '--out', type=Path, required=True, help='config to write')
    parser.add_argument('--arch', default='tiny', help='preset of CEDNet; default: tiny')
    parser.add_argument('--style', help="decoder: fpn, unet or hourglass; default: CEDNet's")
    parser.add_argument('--mixer', help="token mixer; default: the preset's")
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.command_line import exit_on_error
    from mmcednet.use_cednet.config import use_cednet

    with exit_on_error():
        use_cednet(args.config, args.out, args.arch, args.style, args.mixer)
    print(args.out.read_text(encoding='utf-8'), end='')
    print(
        f'\nWritten to {args.out}. Schedule and optimizer are those of {args.config}; '
        f"CEDNet's own configs use AdamW, as the example in README.md does."
    )
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
