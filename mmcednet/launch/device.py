"""Configs adapted to the device: what needs a GPU is replaced if there is none."""

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.logging import print_log

from mmcednet.config_files import get_type, iter_dicts


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
    if optim_wrapper and get_type(optim_wrapper) == 'AmpOptimWrapper':
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
    for part in iter_dicts(node):
        if get_type(part) == 'SyncBN':
            part['type'] = 'BN'
