#!/usr/bin/env python3
"""Converts box annotations from Pascal VOC's XML files to COCO's JSON files, train, val and test."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_arguments import add_val_share_argument
from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='has Annotations/, JPEGImages/ and ImageSets/Main/')
    add_val_share_argument(parser)
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.command_line import exit_on_error
    from mmcednet.data.conversion import write_conversion
    from mmcednet.data.voc import convert_voc

    with exit_on_error():
        write_conversion(convert_voc(args.folder, args.val_share), args.folder / 'coco')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
