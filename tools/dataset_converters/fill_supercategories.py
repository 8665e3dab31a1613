#!/usr/bin/env python3
"""Copies a COCO annotation file and gives each category the supercategory that some tools need."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('file', type=Path, help='annotation file')
    parser.add_argument('-o', '--out', type=Path, required=True, help='the new file to write')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.checks.coco_format import read_coco
    from mmcednet.command_line import exit_on_error
    from mmcednet.data.coco_files import fill_supercategories
    from mmcednet.files import atomic_write, check_new_file

    with exit_on_error():
        check_new_file(args.out)
        content = fill_supercategories(read_coco(args.file))
        with atomic_write(args.out) as temporary:
            temporary.write_text(json.dumps(content))
    print(f'wrote {args.out}')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
