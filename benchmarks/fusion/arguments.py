"""Arguments that several of the benchmarks have."""

import argparse
from pathlib import Path

from mmcednet_threads import count_cores

from .specs import MAIN, NETWORKS
from .training import METRICS


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--data`` and ``--framework``."""
    parser.add_argument(
        '--data',
        type=find_folder,
        required=True,
        help='folder of a dataset, as for tools/new_config.py',
    )
    parser.add_argument('--framework', choices=METRICS, default='retinanet', help='default: retinanet')


def find_folder(text: str) -> Path:
    """The folder that an argument names.

    Raises:
        argparse.ArgumentTypeError: It does not exist.
    """
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f'the folder {text} does not exist')
    return Path(text)


def add_models_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--models``, names of networks in ``NETWORKS``."""
    parser.add_argument(
        '--models',
        nargs='+',
        choices=NETWORKS,
        default=MAIN,
        metavar='MODEL',
        help=f'any of {", ".join(NETWORKS)}; default: {" ".join(MAIN)}',
    )


def add_run_arguments(parser: argparse.ArgumentParser, script: Path, seeds: int) -> None:
    """Add ``--seeds``, ``--jobs``, ``--results`` and ``--out``.

    Args:
        parser: The script's.
        script: File of the script, whose name that of the default folder has.
        seeds: Default of ``--seeds``.
    """
    out = Path('work_dirs', script.stem)
    parser.add_argument('--seeds', type=int, default=seeds, help=f'number of seeds; default: {seeds}')
    parser.add_argument(
        '--jobs',
        type=int,
        default=count_cores(),
        help='trainings at a time, of one thread each; default: number of cores',
    )
    parser.add_argument(
        '--results',
        type=Path,
        help='file of the finished runs, to which new ones are added; default: results.json in --out',
    )
    parser.add_argument(
        '--out', type=Path, default=out, help=f'folder of logs, tables and figures; default: {out}'
    )
