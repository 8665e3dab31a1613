"""Arguments that several commands have.

Outside of the package, whose import imports torch: the help of a command does not wait for it.
"""

import argparse
from typing import Any

from mmengine.config import DictAction


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``config`` and ``checkpoint``, a trained model."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, for commands that only predict."""
    parser.add_argument('--device', help="'cpu', 'cuda:0', ...; default: the GPU if there is one")


def add_val_share_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--val-share`` of the commands that divide a dataset."""
    parser.add_argument(
        '--val-share',
        type=float,
        default=0.2,
        help='share of the images that become val if there is no split val; default: 0.2',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that tools/train.py and tools/test.py have in common."""
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints; default: work_dirs/CONFIG, for those of configs/ '
        'work_dirs/FRAMEWORK/CONFIG',
    )
    add_cfg_options_argument(parser, 'train_dataloader.batch_size=4')
    add_compile_argument(parser)
    add_launcher_argument(parser)
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


class CfgOptions(DictAction):
    """Parses KEY=VALUE; anything else ends with the usage and a message."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        for value in values:
            if '=' not in value:
                raise argparse.ArgumentError(self, f'{value!r} must be KEY=VALUE')
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options_argument(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``, with an example for its help."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help=f'override settings of the config, for example {example}',
    )


def add_launcher_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``, mmengine's name of what starts several processes."""
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='default: none'
    )


def add_prediction_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp`` and ``--cuda-graph``; see :func:`accelerate_prediction`."""
    parser.add_argument(
        '--amp',
        action='store_true',
        help='compute backbone, neck and dense heads in bfloat16, on an older GPU in float16; a CPU '
        'needs instructions for bfloat16',
    )
    parser.add_argument(
        '--cuda-graph',
        action='store_true',
        help='let the GPU replay the kernels of backbone and dense heads, recorded when an image size '
        'comes again, which is faster for one image at a time',
    )


def add_compile_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--compile``; see :func:`mmcednet.models.compile_blocks`."""
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the blocks of CEDNet with torch.compile; needs torch >= 2.3 and, on a CPU, a C++ '
        'compiler',
    )
