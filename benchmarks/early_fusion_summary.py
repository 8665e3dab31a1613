#!/usr/bin/env python3
"""Prints one table of all comparisons in a file of early_fusion.py: ConvNeXt, one and three stages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from fusion.results import Results
from fusion.summary import make_summary

from mmcednet.command_line import exit_on_error


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', type=Path, help='JSON file of early_fusion.py')
    args = parser.parse_args(argv)
    with exit_on_error():
        if not args.results.is_file():
            raise ValueError(f'the file {args.results} does not exist')
        print(make_summary(Results(args.results)), end='')
    return 0


if __name__ == '__main__':
    sys.exit(main())
