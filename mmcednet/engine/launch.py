"""What the command lines share: arguments, and a config made ready to run on this machine."""

import argparse
import logging
import os
from pathlib import Path

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .checks.data import datasets_in

# What draws predictions: scope -> arguments of its visualisation hook, where show_dir is put
VISUALISATION = {
    'mmdet': (dict(draw=True), 'test_out_dir'),
    'mmseg': (dict(draw=True, interval=1), None),
    'mmpretrain': (dict(enable=True), 'out_dir'),
}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that train and test have in common."""
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: work_dirs/FRAMEWORK/CONFIG'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings of the config to override, such as train_dataloader.batch_size=4',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='default: none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """The config that the arguments name, with their overrides.

    Raises:
        ValueError: There is no such file.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if not Path(args.config).is_file():
        raise ValueError(f'there is no config {args.config}')
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    return cfg


def default_work_dir(config: str) -> str:
    """work_dirs/NAME, or work_dirs/FRAMEWORK/NAME for a config in a folder of configs/."""
    parts = Path(config).absolute().with_suffix('').parts
    below = len(parts) - parts[::-1].index('configs') if 'configs' in parts else len(parts) - 1
    return str(Path('work_dirs', *parts[below:]))


def use_amp(cfg: Config) -> None:
    """Train in mixed precision."""
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp does not go with the optim_wrapper {wrapper.type}')
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def adapt_to_device(cfg: Config) -> None:
    """Where there is no GPU, train in float32 instead of not at all.

    Raises:
        ValueError: There is a GPU, but mmcv's operators, which detectors need, were compiled without.
    """
    if torch.cuda.is_available():
        if cfg.get('default_scope') == 'mmdet' and get_compiling_cuda_version() == 'not available':
            raise ValueError(
                'mmcv was compiled without CUDA, which a detector needs on a GPU; compile it on this '
                "machine with nvcc, or hide the GPU with CUDA_VISIBLE_DEVICES=''"
            )
        return
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') == 'AmpOptimWrapper':
        print_log('There is no GPU: training in float32 instead of mixed precision', 'current')
        wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    if cfg.launcher == 'pytorch':
        cfg.sync_bn = None  # BatchNorm is synchronised on GPUs only
        replace_sync_bn(cfg.get('model'))
        # mmengine's own ways, of starting and of wrapping the model, take GPUs for granted.
        torch.distributed.init_process_group('gloo')
        unused = cfg.get('find_unused_parameters', False)
        wrapper = dict(type='MMDistributedDataParallel', find_unused_parameters=unused)
        wrapper.update(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
        cfg.model_wrapper_cfg = wrapper


def replace_sync_bn(node: object) -> None:
    """Make plain BatchNorm of all that a model's config synchronises."""
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            replace_sync_bn(value)


def auto_scale_lr(cfg: Config) -> None:
    """Scale the rate by the batch size over the config's base batch size."""
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.auto_scale_lr.enable = True


def build_runner(cfg: Config) -> Runner:
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def destroy_process_group() -> None:
    """Part from the other processes; without that, some abort at their end, all work done."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def warn_of_batch_size(runner: Runner) -> None:
    """Say so where the rate is for another batch than the one that is trained with."""
    scaling = runner.cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    batch = runner.world_size * runner.cfg.train_dataloader.get('batch_size', 0)
    if base and batch and batch != base and not scaling.get('enable'):
        print_log(
            f'The batch is of {batch} images, but the rate is for {base}: give --auto-scale-lr, or '
            f'set optim_wrapper.optimizer.lr',
            'current',
            logging.WARNING,
        )


def use_tta(cfg: Config) -> None:
    """Test with the config's augmentations and merge their predictions.

    Raises:
        ValueError: The config has none.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise ValueError('--tta needs tta_model and tta_pipeline in the config')
    for dataset in datasets_in(cfg.test_dataloader):
        if 'pipeline' in dataset:
            dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)


def save_predictions(cfg: Config, out: str) -> None:
    """Have the test write its predictions: label maps into a folder, others to a pickle file.

    Raises:
        ValueError: ``out`` is a file where a folder is needed, or the other way round.
    """
    metrics = cfg.test_evaluator
    metrics = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    pickled = out.endswith(('.pkl', '.pickle'))
    if cfg.get('default_scope') == 'mmseg':
        if pickled or os.path.isfile(out):
            raise ValueError(f'--out {out} must be a folder, into which the label maps are written')
        metrics[0].output_dir = out
    elif pickled:
        dump = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
        metrics.append(dict(type=dump, out_file_path=out))
    else:
        raise ValueError(f'--out {out} must end in .pkl or .pickle')
    cfg.test_evaluator = metrics


def draw_predictions(cfg: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Have the test write its predictions as images into ``show_dir`` of the work dir, or show them."""
    scope = cfg.get('default_scope')
    hook = cfg.get('default_hooks', {}).get('visualization')
    if scope not in VISUALISATION or hook is None:
        raise ValueError(f'--show and --show-dir need a visualization hook; scope {scope!r} has none')
    settings, folder_key = VISUALISATION[scope]
    hook.update(settings)
    if show:
        hook.update(show=True, wait_time=wait_time)
    if show_dir and folder_key:
        hook[folder_key] = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = os.path.join(cfg.work_dir, show_dir)
