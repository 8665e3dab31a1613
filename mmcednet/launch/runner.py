"""The runner of a training or test: built after its config and data are checked, and checked itself."""

import copy
import logging

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from mmcednet.checkpoints import write_atomically
from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.checks import (
    check_checkpoint,
    check_data,
    check_features,
    check_pretrained,
    check_resumable,
    check_segmentation,
)
from mmcednet.checks.unwrap import unwrap_model
from mmcednet.config_files import get_type
from mmcednet.models import compile_blocks
from mmcednet.models.execution import describe_kernels
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.training import make_fault_tolerant

from .config import check_settings, name_images_in_errors
from .device import adapt_to_device
from .prediction import accelerate_prediction, check_device
from .processes import init_process_group
from .threads import adapt_threads

# What is run -> data loaders that it uses
LOADERS = {'train': ('train', 'val'), 'test': ('test',)}


def prepare_runner(
    cfg: Config, task: str, compiled: bool = False, amp: bool = False, cuda_graph: bool = False
) -> Runner:
    """Prepare a training or a test: the steps between reading the options and running.

    1. The settings are checked, the config is adapted to the device, and the process group of several
       processes is initialized.
    2. The data are checked, and the pipelines name the images that they cannot read.
    3. For a training, checkpoints are written atomically, and loop, data and hooks tolerate faults.
    4. The runner is built, with its model. Its checkpoints and its work dir get the config as it was
       given, without what these steps have added.
    5. The model is checked: its features, the weights that it starts from, its classes.
    6. A training uses as many threads as pay; the blocks of CEDNet are compiled; a test is accelerated.

    Args:
        cfg: Config of any toolbox, with the options applied; ``load_from`` is the checkpoint of a test.
        task: 'train' or 'test'.
        compiled: Whether to compile the blocks. Default: False.
        amp: Whether a test is in low precision; a training's precision is the config's. Default: False.
        cuda_graph: Whether a test replays CUDA graphs. Default: False.

    Raises:
        ValueError: A check found an error.
        FileNotFoundError: A checkpoint does not exist.
    """
    check_settings(cfg, task)
    check_device(torch.device(get_device()), amp, cuda_graph)
    given = copy.deepcopy(cfg)
    adapt_to_device(cfg)
    init_process_group(cfg)
    check_data(cfg, *LOADERS[task])
    for loader in LOADERS[task]:
        name_images_in_errors(cfg, loader)
    if task == 'train':
        write_atomically()
        make_fault_tolerant(cfg)
        cfg.custom_hooks.append(dict(type='ExpectedEndHook'))
    runner = build_runner(cfg)
    if (amp or cuda_graph) and isinstance(runner, FlexibleRunner):  # which wraps the model later
        raise ValueError('--amp and --cuda-graph are not for FlexibleRunner; test in one process')
    runner.cfg = given
    runner.dump_config()
    check_features(runner.model)
    if task == 'train':
        count_accumulated_batches(runner)
        warn_about_batch_size(runner)
        warn_about_random_weights(runner)
        log_operators(runner)
        check_initial_weights(runner)
        adapt_threads(runner.model)
    else:
        check_checkpoint(runner.model, cfg.load_from)
    check_segmentation(runner, *LOADERS[task])
    if compiled:
        compile_blocks(runner.model)
    accelerate_prediction(runner.model, amp, cuda_graph)
    return runner


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


def count_accumulated_batches(runner: Runner) -> None:
    """Scale the learning rate by all images of a step of the optimizer, where it is to be scaled.

    mmengine takes the batch size times the processes; gradients that are accumulated count as well.
    """
    count = get_accumulation(runner.cfg)
    owner, name = runner, 'auto_scale_lr'
    if isinstance(runner, FlexibleRunner):
        owner, name = runner.strategy, '_auto_scale_lr'
    scaling = getattr(owner, name) or {}
    if count > 1 and scaling.get('enable'):
        setattr(owner, name, dict(scaling, base_batch_size=scaling['base_batch_size'] / count))
        print_log(
            f'Gradients of {count} batches are accumulated: the learning rate is for all of them',
            'current',
        )


def get_accumulation(cfg: Config) -> int:
    """Number of batches whose gradients are accumulated for a step of the optimizer."""
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)


def warn_about_batch_size(runner: Runner) -> None:
    """Log a warning if the learning rate is for another batch size than the actual one.

    That is the batch size times the processes, times the batches whose gradients are accumulated.
    """
    auto_scale_lr = runner.cfg.get('auto_scale_lr') or {}
    base = auto_scale_lr.get('base_batch_size')
    batch = runner.world_size * runner.cfg.train_dataloader.get('batch_size', 0)
    batch *= get_accumulation(runner.cfg)
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
    if not (get_type(init_cfg) == 'Pretrained' or cfg.get('load_from')):
        print_log(
            'The backbone starts from random weights; published detectors and segmenters with it start '
            'from ImageNet-1K weights: pass --pretrained FILE',
            'current',
            logging.WARNING,
        )


def log_operators(runner: Runner) -> None:
    """Log which operators the layers of CEDNet use."""
    operators = describe_kernels(runner.model)
    if operators:
        print_log(f'Operators of mmcednet: {operators}', 'current')


def check_initial_weights(runner: Runner) -> None:
    """Check the files that a training starts or resumes from, if any."""
    check_pretrained(runner.model)
    checkpoint = runner.cfg.get('load_from')
    if checkpoint and runner.cfg.get('resume'):
        check_resumable(runner.model, checkpoint)
    elif checkpoint:
        load_checkpoint(checkpoint)
