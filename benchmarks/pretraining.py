#!/usr/bin/env python3
"""Pre-trains the networks of early_fusion.py to classify images, each with the same recipe.

The images are those of Tiny ImageNet (docs/pretraining.md) or others in its folders. A second call
continues where the first one stopped. early_fusion.py --weights OUT starts from what is written.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmcednet_threads import count_cores, limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from fusion.arguments import add_models_argument
from fusion.results import Results, read_latest_log
from fusion.specs import NETWORKS
from fusion.stopping import run_command
from fusion.training import check_device
from mmengine.config import Config

from mmcednet.checkpoints.publishing import serialize
from mmcednet.command_line import check_positive, exit_on_error
from mmcednet.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / 'configs/imagenet/cednet_nano_tiny_imagenet.py'
GPU_BATCH_SIZE = 512  # the recipe's, on a CPU, is 64


@dataclass(frozen=True)
class Run:
    """A training."""

    data: str  # name of the dataset's folder
    model: str  # a key of NETWORKS
    segmenter: bool  # with the channels that it has in a segmenter
    epochs: int
    lr: float
    weight_decay: float
    device: str = 'cpu'  # or 'cuda' for mixed precision and larger batches


def build_config(run: Run, folder: Path, classes: int) -> Config:
    """Build the config: that of the very small CEDNet, with the run's network and schedule.

    Args:
        run: What to train.
        folder: Folder of the images.
        classes: Number of classes.
    """
    cfg = Config.fromfile(RECIPE)
    network = NETWORKS[run.model]
    backbone = network.get_raw_backbone()
    if not run.segmenter:
        backbone['arch'] = network.backbone['arch']
    channels = backbone['arch']['channels'][-1]
    if backbone['type'] == 'CEDNet':
        stages = len(backbone['arch']['blocks']) - 1
        # as in the paper, without the last decoder and with a head for each stage
        backbone.update(final_decoder=False, out_levels=(5,), recompute='none')
        if stages > 1:
            backbone.update(aux_stages=True, aux_level=5)
        cfg.model.head.update(in_channels=channels, num_stages=stages)
    else:
        backbone.update(out_indices=(3,))
        cfg.model.neck = dict(type='GlobalAveragePooling')
        cfg.model.head.update(type='LinearClsHead', in_channels=channels)
        del cfg.model.head['num_stages']
    cfg.model.backbone = backbone
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = classes
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(folder)
        if run.device == 'cuda':
            loader.update(batch_size=GPU_BATCH_SIZE, num_workers=count_cores())
    cfg.train_cfg.update(max_epochs=run.epochs, val_interval=run.epochs)
    cfg.param_scheduler[1].update(end=run.epochs, T_max=run.epochs)
    cfg.optim_wrapper.optimizer.update(lr=run.lr, weight_decay=run.weight_decay)
    return cfg


def check_images(folder: Path) -> None:
    """Check that a folder has ``train``, ``val/images`` and ``val.txt``.

    Raises:
        FileNotFoundError: It lacks one of them.
    """
    for path in (folder / 'train', folder / 'val' / 'images', folder / 'val.txt'):
        if not path.exists():
            raise FileNotFoundError(
                f'{path} does not exist; --data must have the folders of Tiny ImageNet, and the '
                f'val.txt that tools/dataset_converters/tiny_imagenet.py writes'
            )


def train(run: Run, folder: Path, out: Path) -> float:
    """Train in a process of its own and write the backbone's weights.

    Args:
        run: What to train.
        folder: As :func:`check_images` wants it.
        out: Folder of the written file; the logs and checkpoints are in a folder in it.

    Returns:
        Top-1 on the validation images in percent.

    Raises:
        ValueError: The training failed, or ``out`` has one of this network with another recipe.
        SystemExit: A signal stopped the training.
    """
    work_dir = out / run.model
    config, record = work_dir / 'config.py', work_dir / 'run.json'
    if any(work_dir.glob('*.pth')) and json.loads(record.read_text()) != asdict(run):
        raise ValueError(f'{work_dir} is of another training, {record.read_text()}; choose another -o')
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(asdict(run)))
    classes = sum(path.is_dir() for path in (folder / 'train').iterdir())
    build_config(run, folder, classes).dump(config)
    command = [sys.executable, ROOT / 'tools/train.py', config, '--work-dir', work_dir, '--resume']
    env = dict(os.environ)
    if run.device == 'cuda':
        command.append('--amp')
    else:
        env['CUDA_VISIBLE_DEVICES'] = ''
    if run_command(list(map(str, command)), env):
        raise ValueError(f'the training of {run.model} failed: its log is in {work_dir}')
    target = out / f'{run.model}.safetensors'
    content = serialize(str(work_dir / f'epoch_{run.epochs}.pth'), target.suffix, backbone_only=True)
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
    key = 'accuracy/top1'
    return [entry[key] for entry in read_latest_log(work_dir) if key in entry][-1]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder of the images')
    add_models_argument(parser)
    parser.add_argument(
        '--segmenter',
        action='store_true',
        help='for early_fusion.py --framework upernet, where some networks have other channels',
    )
    parser.add_argument('--epochs', type=int, default=4, help='default: 4')
    parser.add_argument('--lr', type=float, default=2e-3, help='learning rate; default: 2e-3')
    parser.add_argument('--weight-decay', type=float, default=0.05, help='default: 0.05')
    parser.add_argument(
        '--device',
        choices=('cpu', 'cuda'),
        default='cpu',
        help='cuda: in mixed precision, with batches of 512 images instead of 64; default: cpu',
    )
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder for MODEL.safetensors')
    args = parser.parse_args(argv)
    check_positive(parser, args, 'epochs')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        check_device(args.device)
        check_images(args.data)
        results = Results(args.out / 'results.json')
        name = args.data.resolve().name
        for model in args.models:
            recipe = args.epochs, args.lr, args.weight_decay, args.device
            run = Run(name, model, args.segmenter, *recipe)
            if results.find(run) is None:
                top1 = train(run, args.data, args.out)
                results.add(dict(asdict(run), top1=round(top1, 2)))
            row = results.find(run)
            assert row is not None
            print(f'{model}: top-1 {row["top1"]:.1f} % after {args.epochs} epochs', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
