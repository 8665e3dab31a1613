#!/usr/bin/env python3
"""Prints a network's time for feature fusion: the share of its parameters before the first fusion."""

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction

from mmcednet_threads import limit_threads


def format_sixths(share: Fraction) -> str:
    """Format as k/6, as in the paper's Table 4, if it is a whole number of sixths."""
    is_whole = (6 * share).denominator == 1
    return f'{6 * share}/6' if is_whole else str(share)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='file, or a config of a toolbox such as mmdet::FILE')
    args = parser.parse_args(argv)
    # not above: they import torch, which --help does not need
    from mmcednet.analysis.fusion_time import measure_config_fusion_time
    from mmcednet.command_line import exit_on_error

    with exit_on_error():
        time = measure_config_fusion_time(args.config)
    print(
        f'{time.share:.1%} of the parameters come before the first fusion'
        f'{"" if time.fuses else " (there is none)"}: {time.before / 1e6:.2f} M of '
        f'{time.total / 1e6:.2f} M, backbone and neck without the stem'
    )
    if time.blocks is not None:
        print(f"{format_sixths(time.blocks)} of the stages' blocks come before the first fusion")
    return 0


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
