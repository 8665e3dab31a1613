#!/usr/bin/env python3
"""Writes val.txt, the labels of Tiny ImageNet's validation images, as MMPretrain reads them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='has train/ and val/')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.command_line import exit_on_error
    from mmcednet.data.tiny_imagenet import write_val_labels

    with exit_on_error():
        print(f'wrote {write_val_labels(args.folder)}')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
