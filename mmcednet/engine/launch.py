"""Start and end of command-line runs: arguments, the device, processes, the runner."""

import argparse
import datetime
import gc
import logging
import os
from typing import Any

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from mmcednet.models.pretrained import PretrainedBackbone

from .checks.unwrap import unwrap_model


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that tools/train.py and tools/test.py have in common."""
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: work_dirs/FRAMEWORK/CONFIG'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example train_dataloader.batch_size=4',
    )
    add_compile_argument(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='default: none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_compile_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--compile``; see :func:`mmcednet.models.compile_blocks`."""
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the blocks of CEDNet with torch.compile; needs torch >= 2.3 and, on a CPU, a C++ '
        'compiler',
    )


def adapt_to_device(cfg: Config) -> None:
    """Without a GPU, replace what needs one: mixed precision, SyncBN, the GPU's data-parallel wrapper.

    Raises:
        ValueError: There is a GPU, but mmcv's operators, which detectors need, are compiled for the
            CPU only.
    """
    if torch.cuda.is_available():
        check_operators(cfg)
        return
    optim_wrapper = cfg.get('optim_wrapper')
    if optim_wrapper and optim_wrapper.get('type') == 'AmpOptimWrapper':
        print_log('No GPU found: training in float32 instead of mixed precision', 'current')
        optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            optim_wrapper.pop(key, None)
    if cfg.launcher == 'pytorch':
        cfg.sync_bn = None  # SyncBN runs on GPUs only
        replace_sync_bn(cfg.get('model'))
        # mmengine's default wrapper passes device_ids, which fails on the CPU
        model_wrapper = dict(
            type='MMDistributedDataParallel',
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
        model_wrapper.update(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
        cfg.model_wrapper_cfg = model_wrapper


def check_operators(cfg: Config) -> None:
    """Check that mmcv's operators run on a GPU, if the model is a detector.

    Raises:
        ValueError: They are compiled for the CPU only.
    """
    if cfg.get('default_scope') == 'mmdet' and get_compiling_cuda_version() == 'not available':
        raise ValueError(
            'mmcv was compiled without CUDA, which detectors need on a GPU; compile it on this '
            "machine with nvcc, or hide the GPU with CUDA_VISIBLE_DEVICES=''"
        )


def replace_sync_bn(node: object) -> None:
    """Replace SyncBN by BN everywhere in a model's config."""
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            replace_sync_bn(value)


def init_process_group(cfg: Config) -> None:
    """Initialize the process group of CPU-only torchrun jobs.

    mmengine's own initialization requires GPUs. As there, ``env_cfg.dist_cfg.timeout`` is the time in s
    after which a process stops that waits for another one; default: 1800, torch's for gloo.
    """
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        settings: dict[str, Any] = {}
        timeout = ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')
        if timeout is not None:
            settings['timeout'] = datetime.timedelta(seconds=timeout)
        torch.distributed.init_process_group('gloo', **settings)


def is_restarted() -> bool:
    """Whether torchrun has started these workers again, or may have.

    A node that comes back, or takes in another one, counts its own restarts only, but all nodes must
    start from the same checkpoint. Among several nodes that may restart, the answer is therefore yes.
    """
    if int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)):
        return True
    may_restart = int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0)) > 0
    return may_restart and int(os.environ.get('GROUP_WORLD_SIZE', 1)) > 1


def destroy_process_group() -> None:
    """Destroy the process group, if any; call it when nothing refers to the runner any more.

    Without this some processes abort at exit: threads of the process group that are still there ask for
    the interpreter while it ends.
    """
    if torch.distributed.is_initialized():
        gc.collect()  # the runner and its model, which refer to the group
        torch.distributed.destroy_process_group()


def build_runner(cfg: Config) -> Runner:
    """Build the config's runner, with its model.

    A single process has nothing to share, so that an FSDP config then trains and tests as others do.

    Raises:
        ValueError: FlexibleRunner is to save the best checkpoint, too.
    """
    if 'runner_type' not in cfg or (cfg.launcher == 'none' and 'FSDP' in str(cfg.get('strategy'))):
        return Runner.from_cfg(cfg)
    save_best = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    if save_best and cfg.runner_type == 'FlexibleRunner':
        raise ValueError(
            f'default_hooks.checkpoint.save_best={save_best!r} must be None with FlexibleRunner, which '
            f'would write the next epoch into its checkpoints'
        )
    runner = RUNNERS.build(cfg)
    if isinstance(runner, FlexibleRunner):  # which builds and wraps the model only when it trains
        runner.model = runner.strategy.build_model(runner.model)
    return runner


def warn_about_batch_size(runner: Runner) -> None:
    """Log a warning if the learning rate is for another batch size than the actual one."""
    auto_scale_lr = runner.cfg.get('auto_scale_lr') or {}
    base = auto_scale_lr.get('base_batch_size')
    batch = runner.world_size * runner.cfg.train_dataloader.get('batch_size', 0)
    if base and batch and batch != base and not auto_scale_lr.get('enable'):
        print_log(
            f'The batch size is {batch}, but the learning rate is for {base}: use --auto-scale-lr or '
            f'set optim_wrapper.optimizer.lr',
            'current',
            logging.WARNING,
        )


def warn_about_random_weights(runner: Runner) -> None:
    """Log a warning if a detector or segmenter trains without the pre-trained weights of its recipe."""
    cfg = runner.cfg
    backbone = getattr(unwrap_model(runner.model), 'backbone', None)
    if cfg.get('default_scope') not in ('mmdet', 'mmseg'):
        return
    if not isinstance(backbone, PretrainedBackbone) or not backbone.needs_pretraining:
        return
    init_cfg = backbone.init_cfg if isinstance(backbone.init_cfg, dict) else {}
    if not (init_cfg.get('type') == 'Pretrained' or cfg.get('load_from')):
        print_log(
            'The backbone starts from random weights; published detectors and segmenters with it start '
            'from ImageNet-1K weights: pass --pretrained FILE',
            'current',
            logging.WARNING,
        )
