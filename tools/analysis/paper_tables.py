#!/usr/bin/env python3
"""Prints the paper's tables: Params and multiply-adds of our configs beside the paper's."""

import argparse
import json
import sys
from pathlib import Path

from mmcednet.paper.tables import KNOWN_DEVIATIONS, Row, deviations, paper_rows, rows

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
HEADER = ('Table', 'Method', 'Params (M)', 'paper', 'GMAC', 'paper', "paper's AP / mIoU", 'Config')


def cells(row: Row) -> list[str]:
    figures = (row.params, row.paper_params, row.macs, row.paper_macs)
    digits = ('{:.2f}', '{:g}', '{:.1f}', '{:g}')
    shown = [form.format(x) if x is not None else '' for form, x in zip(digits, figures)]
    ap = '' if row.paper_ap is None else f'{row.paper_ap:g}'
    return [row.table, row.method, *shown, ap, row.config or 'no config yet']


def main() -> int:
    tables = sorted({row['table'] for row in paper_rows()})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--table', choices=tables, help='one table; default: all')
    parser.add_argument('--method', help='one row, such as CEDNet-NeXt-T; default: all')
    parser.add_argument('--check', action='store_true', help='exit with 1 if a figure is off')
    parser.add_argument('--format', choices=('md', 'json'), default='md', help='default: md')
    args = parser.parse_args()
    try:
        paper_rows(args.table, args.method)
    except ValueError as error:
        parser.error(str(error))

    found = []
    if args.format == 'md':
        print('| ' + ' | '.join(HEADER) + ' |')
        print('|' + ' --- |' * len(HEADER))
    for row in rows(CONFIGS, args.table, args.method):
        found.append(row)
        if args.format == 'md':
            print('| ' + ' | '.join(cells(row)) + ' |', flush=True)
    if args.format == 'json':
        print(json.dumps([row._asdict() for row in found], indent=1))
    explained = [row for row in found if (row.table, row.method) in KNOWN_DEVIATIONS]
    for row in explained:
        why = KNOWN_DEVIATIONS[row.table, row.method].why
        print(f'Table {row.table}, {row.method}: {why}', file=sys.stderr)
    if not args.check:
        return 0
    off = [sentence for row in found for sentence in deviations(row)]
    for sentence in off:
        print(sentence, file=sys.stderr)
    checked = sum(row.config is not None for row in found)
    print(
        f'{checked} rows checked, {len(off)} figures off, {len(explained)} explained', file=sys.stderr
    )
    return int(bool(off))


if __name__ == '__main__':
    sys.exit(main())
