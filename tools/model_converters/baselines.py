#!/usr/bin/env python3
"""Converts a published checkpoint of one of the paper's other networks into one for this project."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmcednet_threads import limit_threads

# Those of mmcednet.converters.baselines
NETWORKS = ('cbnet', 'cswin', 'focal_transformer', 'focalnet', 'giraffedet', 'revcol', 'spinenet')


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('network', choices=NETWORKS, help='name of the network')
    parser.add_argument('input', type=Path, metavar='IN', help='published checkpoint')
    parser.add_argument('output', type=Path, metavar='OUT', help='file to write')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.command_line import exit_on_error
    from mmcednet.converters.baselines import convert_baseline_state_dict
    from mmcednet.converters.files import convert_file

    with exit_on_error():
        refuse_code()
        convert = partial(convert_baseline_state_dict, args.network)
        number = convert_file(args.input, args.output, convert)
    print(f'{args.output}: {number} tensors')
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
