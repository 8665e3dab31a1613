#!/usr/bin/env python3
"""Generates docs/frameworks.md: puts CEDNet into a config of every framework and tries the models."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from framework_tests.table import ZOOS, Row, list_tried_folders, render_page, try_frameworks
from rich.progress import Progress

from mmcednet.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'docs' / 'frameworks.md',
        help='page to write; default: docs/frameworks.md',
    )
    args = parser.parse_args(argv)
    frameworks = [(zoo, folder) for zoo in ZOOS for folder in list_tried_folders(zoo)]
    with Progress() as progress:
        task = progress.add_task('frameworks', total=len(frameworks))

        def report(row: Row) -> None:
            progress.console.print(f'{row.zoo} {row.folder}: {row.result}', markup=False)
            progress.advance(task)

        rows = try_frameworks(frameworks, report)
    with atomic_write(args.out) as temporary:
        temporary.write_text(render_page(rows), encoding='utf-8')
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
