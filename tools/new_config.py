#!/usr/bin/env python3
"""Writes a config that trains CEDNet on a folder of your own images, and says what it chose and why."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder of images and annotations')
    parser.add_argument(
        '--framework',
        help='retinanet, mask_rcnn, cascade_mask_rcnn, upernet or classifier; or a folder of the '
        "toolboxes' configs such as atss (docs/frameworks.md), or a config such as "
        'mmdet::atss/NAME.py; default: retinanet, or upernet for label maps, or classifier for a '
        'folder per class',
    )
    parser.add_argument(
        '--arch',
        help='tiny, small, base or nano (for two CPU cores); default: tiny with a GPU, nano without '
        'one',
    )
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help="the backbone's initial weights: a file, a URL, the name of weights that come with "
        'mmcednet (nano), or none for random ones; default: the weights named as '
        '--arch, if any',
    )
    parser.add_argument(
        '--epochs', type=int, help='length of the training; default: chosen by the number of images'
    )
    parser.add_argument(
        '--hours',
        type=float,
        help='limit of the length of the training on this machine, which lowers the number of epochs',
    )
    parser.add_argument('-o', '--out', type=Path, required=True, help='the config to write')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    # not above: they import torch, which --help does not need
    from rich.console import Console
    from rich.table import Column, Table

    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.launch.quiet import quiet_console
    from mmcednet.own_data.new_config import write_new_config

    with exit_on_error(), quiet_console():
        refuse_code()
        draft = write_new_config(
            args.data,
            args.framework,
            args.arch,
            args.out,
            ROOT / 'configs',
            args.pretrained,
            epochs=args.epochs,
            hours=args.hours,
            timed=True,
        )
    # names of files and folders are whole
    table = Table(*(Column(name, overflow='fold') for name in ('setting', 'value', 'because')))
    for reason in draft.reasons:
        table.add_row(*reason)
    Console().print(draft.summary, table)
    print(f'wrote {args.out}; next: mmcednet train {args.out}')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
