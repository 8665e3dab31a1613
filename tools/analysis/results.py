#!/usr/bin/env python3
"""Writes docs/results.md, the metafiles and model-index.yml from the paper's tables and the logs."""

import argparse
from pathlib import Path

from mmcednet.paper import results
from mmcednet.paper.tables import rows

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dirs',
        type=Path,
        default=ROOT / 'work_dirs',
        help='logs of trainings; default: work_dirs',
    )
    parser.add_argument('--out', type=Path, default=ROOT, help='the project; default: this one')
    args = parser.parse_args()
    found = []
    for row in rows(ROOT / 'configs'):
        print(f'Table {row.table}: {row.method}', flush=True)
        found.append(row)
    for path, text in results.files(found, ROOT / 'configs', args.work_dirs).items():
        target = args.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f'unfinished-{target.name}')
        unfinished.write_text(text, encoding='utf-8')
        unfinished.replace(target)
        print(target)


if __name__ == '__main__':
    main()
