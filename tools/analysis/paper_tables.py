#!/usr/bin/env python3
"""Prints the paper's tables: Params and multiply-adds of our configs next to the paper's."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet.engine.command_line import exit_on_error
from mmcednet.paper.tables import (
    KNOWN_DEVIATIONS,
    Row,
    find_deviations,
    iter_rows,
    load_paper_rows,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
HEADER = ('Table', 'Method', 'Params (M)', 'paper', 'GMAC', 'paper', "paper's AP / mIoU", 'Config')


def format_cells(row: Row) -> list[str]:
    values = (row.params, row.paper_params, row.macs, row.paper_macs)
    formats = ('{:.2f}', '{:g}', '{:.1f}', '{:g}')
    shown = ['' if x is None else form.format(x) for form, x in zip(formats, values)]
    ap = '' if row.paper_ap is None else f'{row.paper_ap:g}'
    return [row.table, row.method, *shown, ap, row.config or 'no config yet']


def print_deviations(rows: Sequence[Row]) -> int:
    """Print the values out of tolerance and a summary to stderr; return their number."""
    deviations = [deviation for row in rows for deviation in find_deviations(row)]
    for deviation in deviations:
        print(deviation, file=sys.stderr)
    checked = sum(row.config is not None for row in rows)
    known = sum((row.table, row.method) in KNOWN_DEVIATIONS for row in rows)
    print(
        f'{checked} rows checked, {len(deviations)} values out of tolerance, {known} known deviations',
        file=sys.stderr,
    )
    return len(deviations)


def main(argv: Sequence[str] | None = None) -> int:
    tables = sorted({row['table'] for row in load_paper_rows()})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--table', choices=tables, help='one table; default: all')
    parser.add_argument('--method', help='one method, for example CEDNet-NeXt-T; default: all')
    parser.add_argument(
        '--check', action='store_true', help='exit with 1 if a value is out of tolerance'
    )
    parser.add_argument('--format', choices=('md', 'json'), default='md', help='default: md')
    args = parser.parse_args(argv)
    with exit_on_error():
        load_paper_rows(args.table, args.method)

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
