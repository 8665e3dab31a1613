#!/usr/bin/env python3
"""Prints a network's time for feature fusion: the share of its parameters before the first fusion."""

import argparse
import sys
from fractions import Fraction

from mmcednet.analysis.fusion_time import fusion_time


def sixths(share: Fraction) -> str:
    """k/6, as the paper's Table 4 has it, where it is a whole number of sixths."""
    whole = (6 * share).denominator == 1
    return f'{6 * share}/6' if whole else str(share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='file, or a config of a toolbox such as mmdet::FILE')
    args = parser.parse_args()

    try:
        time = fusion_time(args.config)
    except ValueError as error:
        sys.exit(f'error: {error}')
    print(
        f'{time.share:.1%} of the parameters come before the first fusion'
        f'{"" if time.fuses else " (there is none)"}: {time.before / 1e6:.2f} M of '
        f'{time.total / 1e6:.2f} M, backbone and neck without the stem'
    )
    if time.blocks is not None:
        print(f"{sixths(time.blocks)} of the stages' blocks come before the first fusion")


if __name__ == '__main__':
    main()
