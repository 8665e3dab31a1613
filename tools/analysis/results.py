#!/usr/bin/env python3
"""Generates docs/results.md with its figure, the metafiles and model-index.yml.

They are made from the paper's tables, the configs and the logs of trainings.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from paper.fusion_times import draw_fusion_times, iter_fusion_times
from paper.results import render_files
from paper.tables import iter_rows

from mmcednet.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
FIGURE = 'docs/images/fusion_times.png'  # in docs/results.md


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dirs',
        type=Path,
        default=ROOT / 'work_dirs',
        help='folder with the logs of trainings; default: work_dirs',
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT, help='folder to write to; default: this project'
    )
    args = parser.parse_args(argv)
    rows = []
    for row in iter_rows(ROOT / 'configs'):
        print(f'Table {row.table}: {row.method}', flush=True)
        rows.append(row)
    times = {}
    for config, time in iter_fusion_times(ROOT / 'configs', rows):
        print(f'{config}: {time.share:.1%} of the parameters before the first fusion', flush=True)
        times[config] = time
    for path, text in render_files(rows, times, ROOT / 'configs', args.work_dirs).items():
        with atomic_write(args.out / path) as temporary:
            temporary.write_text(text, encoding='utf-8')
        print(args.out / path)
    with atomic_write(args.out / FIGURE) as temporary:
        draw_fusion_times(rows, times).savefig(temporary, dpi=100, format='png')
    print(args.out / FIGURE)
    return 0


if __name__ == '__main__':
    sys.exit(main())
