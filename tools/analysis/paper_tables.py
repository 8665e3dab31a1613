#!/usr/bin/env python3
"""Prints the paper's tables: Params and multiply-adds of our configs next to the paper's.

With --speed: the speed of the detectors of Table 1 on this machine, and the paper's.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

import torch
from paper.table_speed import measure_table
from paper.tables import (
    IMAGE_SIZES,
    KNOWN_DEVIATIONS,
    Row,
    find_deviations,
    iter_rows,
    load_paper_rows,
)

from mmcednet.analysis.speed import DTYPES
from mmcednet.command_line import check_positive, exit_on_error

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
HEADER = ('Table', 'Method', 'Params (M)', 'paper', 'GMAC', 'paper', "paper's AP / mIoU", 'Config')
SPEED_HEADER = ('Method', 'ms', 'spread', 'speed', "paper's speed", 'Config')


def print_speed(image_size: tuple[int, int], batch: int, dtype: str) -> None:
    """Print the speed of the detectors of Table 1, as ratios to ConvNeXt-T with FPN."""
    rows = measure_table(CONFIGS, image_size, batch=batch, dtype=DTYPES[dtype])
    print('| ' + ' | '.join(SPEED_HEADER) + ' |')
    print('|' + ' --- |' * len(SPEED_HEADER))
    for row in rows:
        cells = [f'{1e3 * row.seconds:.0f}', f'±{row.spread:.1%}', f'{row.ratio:.3f}']
        cells += [f'{row.paper_ratio:.3f}', row.config]
        print('| ' + ' | '.join([row.method, *cells]) + ' |')


def format_cells(row: Row) -> list[str]:
    values = (row.params, row.paper_params, row.macs, row.paper_macs)
    formats = ('{:.2f}', '{:g}', '{:.1f}', '{:g}')
    shown = ['' if x is None else form.format(x) for form, x in zip(formats, values)]
    ap = '' if row.paper_ap is None else f'{row.paper_ap:g}'
    return [row.table, row.method, *shown, ap, row.config]


def print_deviations(rows: Sequence[Row]) -> int:
    """Print the values out of tolerance and a summary to stderr; return their number."""
    deviations = [deviation for row in rows for deviation in find_deviations(row)]
    for deviation in deviations:
        print(deviation, file=sys.stderr)
    known = sum((row.table, row.method) in KNOWN_DEVIATIONS for row in rows)
    print(
        f'{len(rows)} rows checked, {len(deviations)} values out of tolerance, '
        f'{known} known deviations',
        file=sys.stderr,
    )
    return len(deviations)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    tables = sorted({row['table'] for row in load_paper_rows()})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--table', choices=tables, help='one table; default: all')
    parser.add_argument('--method', help='one method, for example CEDNet-NeXt-T; default: all')
    parser.add_argument(
        '--check', action='store_true', help='exit with 1 if a value is out of tolerance'
    )
    parser.add_argument('--format', choices=('md', 'json'), default='md', help='default: md')
    parser.add_argument(
        '--speed', action='store_true', help='with --table 1: time the networks on this machine'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=IMAGE_SIZES['coco'],
        metavar=('H', 'W'),
        help='with --speed: size of the image in px; default: 800 1280',
    )
    parser.add_argument('--batch', type=int, default=1, help='with --speed: images; default: 1')
    parser.add_argument(
        '--dtype', choices=DTYPES, default='float32', help='with --speed: autocast; default: float32'
    )
    args = parser.parse_args(argv)
    check_positive(parser, args, 'batch')
    if args.dtype == 'float16' and not torch.cuda.is_available():
        parser.error('--dtype float16 needs a GPU; a CPU has float32 and bfloat16')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        load_paper_rows(args.table, args.method)
        if args.speed:
            if args.table != '1' or args.method or args.check or args.format != 'md':
                raise ValueError(
                    '--speed prints Table 1 as a whole, as Markdown; use: --table 1 --speed'
                )
            print_speed(tuple(args.size), args.batch, args.dtype)
            return 0

    rows = []
    if args.format == 'md':
        print('| ' + ' | '.join(HEADER) + ' |')
        print('|' + ' --- |' * len(HEADER))
    for row in iter_rows(CONFIGS, args.table, args.method):
        rows.append(row)
        if args.format == 'md':
            print('| ' + ' | '.join(format_cells(row)) + ' |', flush=True)
    if args.format == 'json':
        print(json.dumps([row._asdict() for row in rows], indent=1))
    for row in rows:
        if (row.table, row.method) in KNOWN_DEVIATIONS:
            why = KNOWN_DEVIATIONS[row.table, row.method].why
            print(f'Table {row.table}, {row.method}: {why}', file=sys.stderr)
    return int(args.check and print_deviations(rows) > 0)


if __name__ == '__main__':
    sys.exit(main())
