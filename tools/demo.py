#!/usr/bin/env python3
"""Trains and evaluates a very small CEDNet on generated images and draws its predictions."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.runner import Runner

from mmcednet.command_line import exit_on_error
from mmcednet.data.shapes import draw_dataset
from mmcednet.launch.device import adapt_to_device
from mmcednet.launch.threads import adapt_threads
from mmcednet.report.hook import ReportHook
from mmcednet.visualization.progress import ProgressHook

ROOT = Path(__file__).resolve().parents[1]
NANO = 'cednet_nano_shapes.py'


def find_demo_config(configs: Path, framework: str) -> Path:
    """Find the demo's config for a framework: its nano config, if that defines ``shown_metrics``.

    Args:
        configs: Folder that contains one folder per framework.
        framework: Name of a framework's folder.

    Raises:
        ValueError: The framework has no such config.
    """

    def has_demo(path: Path) -> bool:
        return path.is_file() and 'shown_metrics' in Config.fromfile(path)

    config = configs / framework / NANO
    if has_demo(config):
        return config
    found = sorted(path.parent.name for path in configs.glob(f'*/{NANO}') if has_demo(path))
    raise ValueError(f'framework {framework!r} is unknown; choose one of: {", ".join(found)}')


def train(config: Path, data: Path, work_dir: Path, seed: int, progress: ProgressHook) -> Runner:
    """Train the model of a config on a dataset of shapes.

    Args:
        config: Config file.
        data: Folder of the dataset.
        work_dir: Folder for checkpoints and logs.
        seed: Random seed of the training.
        progress: Hook that shows the progress.

    Returns:
        The runner, after the last epoch.
    """
    cfg = Config.fromfile(config)
    cfg.launcher = 'none'
    cfg.work_dir = str(work_dir)
    cfg.visualizer.name = str(work_dir)  # unique: mmengine reuses a visualizer of the same name
    cfg.log_level = 'WARNING'  # the progress bar is enough
    cfg.randomness = dict(seed=seed)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.data_root = str(data)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        if 'ann_file' in evaluator:  # CocoMetric reads the ground truth from a file
            evaluator.ann_file = str(data / 'annotations' / 'val.json')
    adapt_to_device(cfg)
    runner = Runner.from_cfg(cfg)
    adapt_threads(runner.model)
    runner.register_hook(progress)
    runner.register_hook(ReportHook(work_dir / 'report'))
    try:
        runner.train()
    finally:
        progress.bar.stop()
    return runner


def run_demo(config: Path, data: Path, work_dir: Path, seed: int) -> dict[str, float]:
    """Train, evaluate and draw a model; print its results and the paths of all outputs.

    Args:
        config: Config file for a dataset of shapes; its ``shown_metrics`` map keys to titles.
        data: Folder of the dataset.
        work_dir: Folder for the checkpoints, the log and the pictures; created if missing.
        seed: Random seed of the training.

    Returns:
        Title -> value in [0, 1] of each metric in the last validation.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    hook = ProgressHook()
    print('loading the data and building the model', flush=True)
    with open(work_dir / 'output.log', 'w') as file, redirect_stdout(file), redirect_stderr(file):
        runner = train(config, data, work_dir, seed, hook)
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    images = len(runner.val_dataloader.dataset)
    for title, value in hook.results.items():
        print(f'{title}: {value:.3f} on {images} validation images')
    print(f'checkpoint: {checkpoint}')
    print(f'pictures and tables: {work_dir / "report"}')
    return hook.results


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--framework',
        default='retinanet',
        help='framework to train: a folder of configs/ with a demo config; default: retinanet',
    )
    parser.add_argument('--seed', type=int, default=0, help='for data and training; default: 0')
    args = parser.parse_args(argv)
    with exit_on_error():
        config = find_demo_config(ROOT / 'configs', args.framework)
        data = draw_dataset(ROOT / 'data' / f'shapes-{args.seed}', 1200, 100, 96, args.seed)
    if get_compiling_cuda_version() == 'not available':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # detectors need mmcv's CUDA operators on the GPU
        if shutil.which('nvidia-smi'):
            print('mmcv was compiled without CUDA, so the GPU is not used; see docs/installation.md')
    run_demo(config, data, ROOT / 'work_dirs' / f'demo-{args.framework}-{args.seed}', args.seed)
    return 0


if __name__ == '__main__':
    sys.exit(main())
