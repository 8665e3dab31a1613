"""Configs of command-line runs: loaded from a file and edited by options."""

import argparse
import logging
import os
import shlex
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmcednet.checkpoints.resuming import check_no_training, find_resumable
from mmcednet.checkpoints.shipped import find_pretrained
from mmcednet.checks.data import iter_datasets
from mmcednet.config_files import get_type, list_configs, read_config
from mmcednet.converters.convnext import refuse_convnext

from .options import apply_options

# Scope -> settings of its visualization hook, and the hook's key for the output folder
VISUALIZATION = {
    'mmdet': (dict(draw=True), 'test_out_dir'),
    'mmseg': (dict(draw=True, interval=1), None),
    'mmpretrain': (dict(enable=True), 'out_dir'),
}
# What is run -> settings that it needs, beside the model
NEEDED = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}


def load_config(args: argparse.Namespace) -> Config:
    """Load the config of ``args`` and apply ``--cfg-options``, ``--launcher`` and ``--work-dir``.

    Raises:
        ValueError: The file does not exist or load, or has no model; an option has no effect.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        apply_options(cfg, args.cfg_options)
    if 'model' not in cfg:
        raise ValueError(f'config {args.config} has no model')
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or get_default_work_dir(args.config)
    return cfg


def get_default_work_dir(config: str) -> str:
    """work_dirs/NAME, or work_dirs/FRAMEWORK/NAME for a config in a folder of configs/."""
    parts = Path(config).absolute().with_suffix('').parts
    below = len(parts) - parts[::-1].index('configs') if 'configs' in parts else len(parts) - 1
    return str(Path('work_dirs', *parts[below:]))


def check_settings(cfg: Config, task: str) -> None:
    """Check that a config has what a training or a test needs, before anything is built.

    Args:
        cfg: Config of any toolbox.
        task: 'train' or 'test'.

    Raises:
        ValueError: A setting is missing, or the training would have no epoch or iteration.
        FileNotFoundError: The checkpoint ``load_from`` does not exist.
    """
    for name in NEEDED[task]:
        if cfg.get(name) is None:
            raise ValueError(f'the config has no {name}, which mmcednet {task} needs')
    for name in ('max_epochs', 'max_iters') if task == 'train' else ():
        length = cfg.train_cfg.get(name)
        if length is not None and length < 1:
            raise ValueError(f'train_cfg.{name}={length} must be at least 1')
    checkpoint = cfg.get('load_from')
    if checkpoint and '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'the checkpoint {checkpoint} does not exist')


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision.

    Raises:
        ValueError: The optimizer wrapper does not support it.
    """
    wrapper = cfg.optim_wrapper
    kind = get_type(wrapper)
    if kind not in ('', 'OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp needs OptimWrapper or AmpOptimWrapper, the config has {kind}')
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the batch size divided by the config's base batch size.

    Raises:
        ValueError: The config has no base batch size.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.auto_scale_lr.enable = True


# Default scope -> the metric that tells how good a model is, and how the type of its evaluator ends
MAIN_METRICS = {
    'mmdet': ('coco/bbox_mAP', 'CocoMetric'),
    'mmseg': ('mIoU', 'IoUMetric'),
    'mmpretrain': ('accuracy/top1', 'Accuracy'),
}


def enable_early_stopping(cfg: Config, patience: int) -> None:
    """Stop the training once validations no longer improve ``save_best``, or the usual metric.

    Args:
        cfg: Config of any toolbox.
        patience: Number of validations without a better one.

    Raises:
        ValueError: ``patience`` is less than 1, or the config has no validation or names no metric.
    """
    if patience < 1:
        raise ValueError(f'--early-stopping {patience} must be at least 1')
    if not cfg.get('val_evaluator'):
        raise ValueError(
            '--early-stopping needs a validation: val_dataloader, val_evaluator and val_cfg'
        )
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    monitor, rule = hook.get('save_best'), hook.get('rule')  # None: mmengine infers it by the name
    if not isinstance(monitor, str) or monitor == 'auto':
        monitor, rule = find_main_metric(cfg), 'greater'
    # an equal value is no improvement
    stop = dict(type='EarlyStoppingHook', monitor=monitor, rule=rule, min_delta=1e-6, patience=patience)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), stop]


def find_main_metric(cfg: Config) -> str:
    """The metric that tells how good a config's model is.

    Raises:
        ValueError: Its validation does not compute the usual one of its toolbox.
    """
    metric, evaluator = MAIN_METRICS.get(cfg.get('default_scope'), ('', ''))
    kinds = map(get_type, list_configs(cfg.val_evaluator))
    if not metric or not any(kind.endswith(evaluator) for kind in kinds):
        raise ValueError(
            '--early-stopping needs default_hooks.checkpoint.save_best, the metric to look at'
        )
    has_masks = metric == 'coco/bbox_mAP' and 'segm' in str(cfg.val_evaluator)
    return 'coco/segm_mAP' if has_masks else metric


def set_test_data(cfg: Config, annotations: Path, images: Path) -> None:
    """Test a detector on the images of an annotation file in COCO's format.

    Args:
        cfg: Config of mmdet, with one dataset for the test.
        annotations: The file.
        images: Folder that the names of its images are in.

    Raises:
        ValueError: The config has another scope or several datasets, or a path does not exist.
    """
    datasets = list(iter_datasets(cfg.get('test_dataloader')))
    if cfg.get('default_scope') != 'mmdet' or len(datasets) != 1:
        raise ValueError('--annotations needs the config of a detector with one dataset for the test')
    for path, exists in ((annotations, annotations.is_file()), (images, images.is_dir())):
        if not exists:
            raise ValueError(f'{path} does not exist')
    datasets[0].update(
        data_root='', ann_file=str(annotations), data_prefix=dict(img=str(images)), indices=None
    )
    for evaluator in list_configs(cfg.test_evaluator):
        if 'ann_file' in evaluator:
            evaluator['ann_file'] = str(annotations)


def set_pretrained(cfg: Config, checkpoint: str, student: str | None = None) -> None:
    """Initialise the backbone from a checkpoint; a ``prefix`` of the config's ``init_cfg`` is kept.

    Args:
        cfg: Config of any toolbox.
        checkpoint: As for :func:`find_pretrained`.
        student: As for :func:`refuse_convnext`. Default: ``--config`` with the config's file.

    Raises:
        ValueError: The checkpoint does not exist, or is a ConvNeXt's and the backbone a CEDNet, or the
            config's model has no backbone.
    """
    checkpoint = find_pretrained(checkpoint)
    backbone = cfg.get('model', {}).get('backbone')
    if backbone is None:
        raise ValueError('--pretrained needs model.backbone in the config')
    if get_type(backbone) == 'CEDNet':
        refuse_convnext(checkpoint, student or f'--config {shlex.quote(str(cfg.filename))}')
    init_cfg = backbone.get('init_cfg') or {}
    backbone.init_cfg = dict(init_cfg, type='Pretrained', checkpoint=checkpoint)
    if cfg.model.get('pretrained'):  # mmseg's older option; it must not be combined with init_cfg
        cfg.model.pretrained = None


def set_resume(cfg: Config, checkpoint: str) -> None:
    """Resume from a checkpoint: a file, or 'auto' for the latest one of the work dir, if any.

    Raises:
        ValueError: The work dir has checkpoints, but none can be resumed.
    """
    found = find_resumable(Path(cfg.work_dir)) if checkpoint == 'auto' else checkpoint
    cfg.resume = found is not None
    if found is not None:
        cfg.load_from = str(found)
    else:
        check_no_training(Path(cfg.work_dir), resumable=False)
        print_log(
            f'{cfg.work_dir} has no checkpoint: the training starts from its beginning',
            'current',
            logging.WARNING,
        )


def enable_tta(cfg: Config) -> None:
    """Test with the config's test-time augmentation, and its ``tta_test_cfg`` if it has one.

    Raises:
        ValueError: The config has none.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise ValueError('--tta needs tta_model and tta_pipeline in the config')
    for dataset in iter_datasets(cfg.test_dataloader):
        if 'pipeline' in dataset:
            dataset['pipeline'] = cfg.tta_pipeline
    if 'tta_test_cfg' in cfg:
        cfg.model.test_cfg = cfg.tta_test_cfg
    cfg.model = dict(cfg.tta_model, module=cfg.model)


def name_images_in_errors(cfg: Config, loader: str) -> None:
    """Let a data loader's pipelines name the image that they cannot read, see ``NamedImageErrors``.

    Args:
        cfg: Config of any toolbox.
        loader: 'train', 'val' or 'test'.
    """
    for dataset in list(iter_datasets(cfg.get(f'{loader}_dataloader'))):
        if dataset.get('pipeline'):
            dataset['pipeline'] = [dict(type='NamedImageErrors', transforms=dataset['pipeline'])]


def save_predictions(cfg: Config, out: str) -> None:
    """Save the test's predictions: label maps of segmenters in a folder, others in a pickle file.

    Raises:
        ValueError: ``out`` is a file where a folder is needed, or vice versa.
    """
    metrics = list_configs(cfg.test_evaluator)
    pickled = out.endswith(('.pkl', '.pickle'))
    if cfg.get('default_scope') == 'mmseg':
        if pickled or os.path.isfile(out):
            raise ValueError(f'--out {out} must be a folder, for the label maps of a segmenter')
        metrics[0]['output_dir'] = out
    elif pickled:
        dump = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
        metrics.append(dict(type=dump, out_file_path=out))
    else:
        raise ValueError(f'--out {out} must end in .pkl or .pickle')
    cfg.test_evaluator = metrics


def enable_visualization(cfg: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Draw the test's predictions: into the folder ``show_dir`` of the work dir, or in a window.

    Args:
        cfg: Config of mmdet, mmseg or mmpretrain.
        show_dir: Name of the folder; None saves nothing.
        show: Open a window.
        wait_time: Seconds per image in the window.

    Raises:
        ValueError: The config has no visualization hook.
    """
    scope = cfg.get('default_scope')
    hook = cfg.get('default_hooks', {}).get('visualization')
    if scope not in VISUALIZATION or hook is None:
        raise ValueError(f'--show and --show-dir need a visualization hook; scope {scope!r} has none')
    settings, folder_key = VISUALIZATION[scope]
    hook.update(settings)
    if get_type(hook) == 'DetVisualizationHook':
        from mmcednet.visualization.show_dir import FolderVisualizationHook  # needs mmdet

        hook.type = FolderVisualizationHook.__name__
    if show:
        hook.update(show=True, wait_time=wait_time)
    if show_dir and folder_key:
        hook[folder_key] = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = os.path.join(cfg.work_dir, show_dir)
