#!/usr/bin/env python3
"""Draws docs/images/network.png: stages, blocks and channels of a CEDNet, read from the built model."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from network_figure.figure import draw_network
from network_figure.layout import describe

from mmcednet.command_line import exit_on_error
from mmcednet.files import atomic_write
from mmcednet.models import CEDNet

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (3, 4, 5, 6, 7)  # the pyramid of RetinaNet
KEY = 'Description'  # of the PNG file: the layout that is drawn, as JSON
DPI = 200


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='tiny', help='preset of CEDNet; default: tiny')
    parser.add_argument('--style', default='fpn', help='decoder: fpn, unet or hourglass; default: fpn')
    parser.add_argument(
        '--levels',
        type=int,
        nargs='*',
        default=LEVELS,
        help='levels of the pyramid; none: the raw levels; default: 3 4 5 6 7',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'docs' / 'images' / 'network.png',
        help='picture to write; default: docs/images/network.png',
    )
    args = parser.parse_args(argv)
    with exit_on_error():
        pyramid = dict(levels=args.levels) if args.levels else None
        layout = describe(CEDNet(args.arch, style=args.style, pyramid=pyramid))
        figure = draw_network(layout)
        with atomic_write(args.out) as temporary:
            figure.savefig(temporary, dpi=DPI, format='png', metadata={KEY: json.dumps(layout)})
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
