#!/usr/bin/env python3
"""Divides images with label maps, or in a folder per class, at random into two parts, as copies."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_arguments import add_val_share_argument
from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='has images/ and masks/, or a folder for each class')
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder to write')
    add_val_share_argument(parser)
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.command_line import exit_on_error
    from mmcednet.own_data.unsplit import split_images
    from mmcednet.wording import count

    with exit_on_error():
        for split, number in sorted(split_images(args.folder, args.out, args.val_share).items()):
            print(f'{split}: {count(number, "image")}')
        print(f'wrote {args.out}')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
