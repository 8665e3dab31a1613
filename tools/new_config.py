#!/usr/bin/env python3
"""Writes a config that trains CEDNet on a folder of your own images, and says what it chose and why."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from rich.console import Console
from rich.table import Table

from mmcednet.checkpoints.safe_loading import refuse_code
from mmcednet.checkpoints.shipped import SHIPPED
from mmcednet.command_line import exit_on_error
from mmcednet.own_data.new_config import ARCHS, FRAMEWORKS, write_new_config

ROOT = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder of images and annotations')
    parser.add_argument(
        '--framework', default='retinanet', help=f'{", ".join(FRAMEWORKS)}; default: retinanet'
    )
    parser.add_argument(
        '--arch', default='tiny', help=f'{", ".join(ARCHS)} (for two CPU cores); default: tiny'
    )
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help="the backbone's initial weights: a file, a URL, the name of weights that come with "
        f'mmcednet ({", ".join(SHIPPED)}), or none for random ones; default: the weights named as '
        '--arch, if any',
    )
    parser.add_argument('-o', '--out', type=Path, required=True, help='the config to write')
    args = parser.parse_args(argv)
    with exit_on_error():
        refuse_code()
        draft = write_new_config(
            args.data, args.framework, args.arch, args.out, ROOT / 'configs', args.pretrained
        )
    table = Table('setting', 'value', 'because')
    for reason in draft.reasons:
        table.add_row(*reason)
    Console().print(draft.summary, table)
    print(f'wrote {args.out}; next: python tools/train.py {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
