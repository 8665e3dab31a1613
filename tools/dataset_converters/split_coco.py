#!/usr/bin/env python3
"""Splits one annotation file in COCO's format into train.json and val.json beside it, at random."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_arguments import add_val_share_argument
from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('file', type=Path, help='annotation file')
    add_val_share_argument(parser)
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.checks.coco_format import read_coco
    from mmcednet.command_line import exit_on_error
    from mmcednet.data.coco_files import check_unsplit, split_coco, write_splits

    with exit_on_error():
        check_unsplit(args.file)
        write_splits(split_coco(read_coco(args.file), args.val_share), args.file.parent)
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
