#!/usr/bin/env python3
"""Trains a CEDNet to predict the features of a pre-trained network, from images without labels.

The written weights are initial weights: train.py --pretrained FILE, new_config.py --pretrained FILE.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmcednet_arguments import add_cfg_options_argument, add_launcher_argument
from mmcednet_threads import limit_threads

if TYPE_CHECKING:
    from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--teacher',
        required=True,
        metavar='NETWORK',
        help='timm:NAME or mmpretrain:NAME, whose published weights are downloaded; timm:NAME=FILE or '
        "mmpretrain:NAME=FILE, with a file's; or FILE: a checkpoint that contains its config, or a "
        'ConvNeXt of torchvision, timm, mmpretrain or the original code',
    )
    parser.add_argument(
        '--images',
        type=Path,
        required=True,
        nargs='+',
        metavar='FOLDER',
        help='folders of images, read with their subfolders',
    )
    parser.add_argument(
        '-o', '--out', type=Path, required=True, help='new file to write: .safetensors or .pth'
    )
    parser.add_argument('--arch', default='nano', help='nano, tiny, small, base, ...; default: nano')
    parser.add_argument('--config', help='config whose backbone learns, in place of --arch')
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help='initial weights, as for train.py, or none for random ones; default: selected from the '
        'teacher if that is a ConvNeXt at least as wide, otherwise random ones',
    )
    parser.add_argument('--iterations', type=int, default=3000, help='default: 3000')
    parser.add_argument('--batch-size', type=int, default=64, help='of each process; default: 64')
    parser.add_argument('--size', type=int, default=64, help='side of the crops in px; default: 64')
    parser.add_argument(
        '--teacher-scale',
        type=float,
        default=1.0,
        help="enlarges the teacher's images, as many expect larger ones; default: 1",
    )
    parser.add_argument('--lr', type=float, default=2e-3, help='learning rate; default: 2e-3')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='on a CPU, compute the teacher in bfloat16; on a GPU it is in low precision anyway',
    )
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: work_dirs/distill/OUT'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in the work dir, with the same --iterations',
    )
    add_cfg_options_argument(parser, 'train_dataloader.num_workers=8')
    add_launcher_argument(parser)
    return parser.parse_args(argv)


def check_numbers(args: argparse.Namespace) -> None:
    """Raise a ValueError for a number that the training would fail on, or learn nothing with."""
    from mmcednet.models.cednet import MIN_SIZE

    for name, least in (('iterations', 1), ('batch_size', 1), ('size', MIN_SIZE)):
        value = getattr(args, name)
        if value < least:
            raise ValueError(f'--{name.replace("_", "-")} {value} must be at least {least}')
    for name in ('teacher_scale', 'lr'):
        value = getattr(args, name)
        if not value > 0:
            raise ValueError(f'--{name.replace("_", "-")} {value} must be more than 0')


def check_files(args: argparse.Namespace, work_dir: Path) -> None:
    """Check the images, and the files and folders that the end needs."""
    from mmcednet.checkpoints.publishing import check_suffix
    from mmcednet.distillation.config import count_images, warn_about_few_images
    from mmcednet.files import check_new_file, check_writable

    check_suffix(args.out)
    check_new_file(args.out)
    warn_about_few_images(count_images(args.images), args.batch_size)
    check_writable(work_dir)
    check_writable(args.out.parent)


def prepare(args: argparse.Namespace) -> 'Runner':
    """Build the runner of the options."""
    # not above: they import torch, which --help does not need
    import torch

    from mmcednet.checkpoints.resuming import check_no_training
    from mmcednet.checkpoints.safe_loading import refuse_code
    from mmcednet.distillation.config import build_config, build_dataloader, build_model, check_length
    from mmcednet.distillation.student import choose_backbone_config
    from mmcednet.launch.config import set_pretrained, set_resume
    from mmcednet.launch.options import apply_options
    from mmcednet.launch.prediction import choose_dtype
    from mmcednet.launch.processes import is_restartable
    from mmcednet.launch.runner import prepare_runner

    refuse_code()
    check_numbers(args)
    work_dir = Path(args.work_dir or Path('work_dirs', 'distill', args.out.stem))
    check_files(args, work_dir)
    backbone = choose_backbone_config(args.arch, args.config, ROOT / 'configs')
    cfg = build_config(
        build_model(backbone, args.teacher, args.size, args.teacher_scale),
        build_dataloader(args.images, args.batch_size, args.size),
        args.iterations,
        args.lr,
        work_dir,
    )
    cfg.launcher = args.launcher
    cfg.model.select = args.pretrained is None
    if args.amp or torch.cuda.is_available():  # bfloat16 where float16 could overflow
        dtype = choose_dtype(torch.device('cuda' if torch.cuda.is_available() else 'cpu'))
        cfg.model.teacher_dtype = str(dtype).removeprefix('torch.')
    if args.pretrained not in (None, 'none'):
        student = f'--config {shlex.quote(args.config)}' if args.config else f'--arch {args.arch}'
        set_pretrained(cfg, args.pretrained, student)
    if args.cfg_options:
        apply_options(cfg, args.cfg_options)
    if args.resume or is_restartable():
        set_resume(cfg, 'auto')
        if cfg.resume:
            check_length(cfg)
    else:
        check_no_training(work_dir)
    return prepare_runner(cfg, 'train')


def write_weights(runner: 'Runner', out: Path) -> None:
    """Write the weights of the trained backbone; the first process does."""
    from mmengine.dist import is_main_process

    from mmcednet.checkpoints.publishing import serialize
    from mmcednet.files import atomic_write

    if is_main_process():
        last = runner.message_hub.get_info('last_ckpt')
        content = serialize(last, out.suffix, backbone_only=True)
        with atomic_write(out) as temporary:
            temporary.write_bytes(content)
        print(f'{out}: {len(content) / 2**20:.1f} MiB; losses: {runner.work_dir}/losses.png')


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    from mmcednet.launch.commands import run_training
    from mmcednet.launch.console import show_bar

    return run_training(partial(prepare, args), show_bar, partial(write_weights, out=args.out))


if __name__ == '__main__':
    limit_threads()  # before torch is imported
    sys.exit(main())
