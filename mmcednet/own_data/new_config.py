"""Writes a config for a folder of images."""

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console

from mmcednet.checks import check_data
from mmcednet.checks.segmentation import check_segmentation_data
from mmcednet.config_files import check_new_config, format_config, write_config
from mmcednet.models.pretrained import WeightsError
from mmcednet.models.utils import check_choice

from .choices import NANO, Choice, choose_arch, choose_weights
from .classification import FRAMEWORKS as CLASSIFIERS
from .classification import draft_classifier
from .detection import FRAMEWORKS as DETECTORS
from .detection import NANO_LEVELS, draft_detector
from .draft import Draft, compute_val_interval, set_epochs
from .duration import Speed, format_duration, measure_speed, show_errors_only
from .recognition import recognise_scope
from .segmentation import FRAMEWORKS as SEGMENTERS
from .segmentation import draft_segmenter
from .toolbox import ToolboxModel, find_framework, load_toolbox_model

FRAMEWORKS = (*DETECTORS, *SEGMENTERS, *CLASSIFIERS)
DEFAULTS = {'mmdet': DETECTORS[0], 'mmseg': SEGMENTERS[0], 'mmpretrain': CLASSIFIERS[0]}
ARCHS = ('tiny', 'small', 'base', NANO)
DROP_PATH_RATES = {'tiny': 0.2, 'small': 0.3, 'base': 0.4}  # the paper's
RUNTIMES = {
    'mmdet': 'runtime.py',
    'mmseg': 'segmentation_runtime_epochs.py',
    'mmpretrain': 'classification_runtime.py',
}
NAMES = {'tiny': 'CEDNet-T', 'small': 'CEDNet-S', 'base': 'CEDNet-B', NANO: 'A very small CEDNet'}


def write_new_config(
    folder: Path,
    framework: str | None,
    arch: str | None,
    out: Path,
    configs: Path,
    pretrained: str | None = None,
    scale: tuple[int, int] | None = None,
    epochs: int | None = None,
    hours: float | None = None,
    timed: bool = False,
) -> Draft:
    """Look at a dataset and write a config that trains on it.

    Args:
        folder: Folder of the dataset.
        framework: One of ``FRAMEWORKS``, or of the toolboxes as for :func:`find_framework`; None for
            the first one that fits the annotations.
        arch: One of ``ARCHS``; 'nano' is for two CPU cores; None for the one that fits the machine.
        out: The config, which must not exist.
        configs: This project's ``configs/``.
        pretrained: The backbone's initial weights, as for :func:`choose_weights`.
        scale: Width and height in px that a detector's images are resized to, keeping their ratio.
            Default: chosen by the sizes of images and objects.
        epochs: Length of the training. Default: chosen by the number of images.
        hours: Limit of the length of the training on this machine, which lowers the number of epochs.
        timed: Whether to time a few iterations, and say how long the training takes; so they are with
            ``hours``, and for a framework of the toolboxes, which shows that it trains on these data.

    Returns:
        The settings and the reasons for them.

    Raises:
        ValueError: The dataset is not complete, or has errors that the training would report, or an
            argument is unknown, or ``out`` exists; then nothing is written.
    """
    check_new_config(out)
    check_length(epochs, hours)
    chosen_arch = choose_arch(arch, pretrained)
    arch = check_choice('arch', chosen_arch.value, ARCHS)
    weights = choose_weights(arch, pretrained)
    scope = recognise_scope(folder)
    chosen = Choice(framework, 'as given') if framework else Choice(DEFAULTS[scope.value], scope.reason)
    framework = chosen.value
    toolbox = None
    if framework not in FRAMEWORKS:
        name = find_framework(framework, scope.value, FRAMEWORKS)
        toolbox = load_toolbox_model(name, scope.value, read_backbone(configs, arch))
    halved = has_halved_length(arch, weights, toolbox)
    draft = draft_config(folder, framework, arch, halved, scale, toolbox)
    draft.reasons[:0] = [
        ('framework', framework, toolbox.name if toolbox else chosen.reason),
        ('network', NAMES[arch], chosen_arch.reason),
    ]
    if toolbox:
        set_toolbox(draft, toolbox)
    else:
        set_backbone(draft, arch)
    set_initial_weights(draft, weights)
    set_recipe(draft, arch, weights, toolbox)
    if epochs:
        set_epochs(draft, Choice(epochs, 'as given'))
    base = str(configs / '_base_')
    cfg = resolve(draft, base)
    check_splits(cfg)
    check_weights(cfg, arch)
    if timed or hours or toolbox:
        set_duration(draft, time_training(cfg, framework), hours)
    if configs.parent in out.absolute().parents:  # so that the project's folder can be moved
        base = os.path.relpath(base, out.parent.absolute())
    header = f'{NAMES[arch]} with {framework} for {folder}: {draft.summary}'
    write_config(out, header, join_settings(draft, base), draft.comments)
    return draft


def check_length(epochs: int | None, hours: float | None) -> None:
    """Check the length of the training that is asked for.

    Raises:
        ValueError: It is not positive, or given twice.
    """
    if epochs is not None and hours is not None:
        raise ValueError('--epochs and --hours both set the length of the training; use one of them')
    for option, value in (('--epochs', epochs), ('--hours', hours)):
        if value is not None and not value > 0:
            raise ValueError(f'{option} {value} must be more than 0')


def has_halved_length(arch: str, weights: Choice[str | None], toolbox: ToolboxModel | None) -> bool:
    """Whether half as many iterations as from random weights are planned.

    That was measured for the small network, with the rate of schedules/scratch.py.
    """
    own_rate = toolbox is not None and toolbox.optim_wrapper is not None
    return arch == NANO and weights.value is not None and not own_rate


def draft_config(
    folder: Path,
    framework: str,
    arch: str,
    halved: bool,
    scale: tuple[int, int] | None,
    toolbox: ToolboxModel | None,
) -> Draft:
    """Choose the settings that depend on the data."""
    detector = toolbox.scope == 'mmdet' if toolbox else framework in DETECTORS
    if detector:
        return draft_detector(folder, framework, arch, halved, scale, toolbox)
    if scale:
        raise ValueError(f'{framework} trains on crops of the images, without a scale')
    segmenter = toolbox.scope == 'mmseg' if toolbox else framework in SEGMENTERS
    draft = draft_segmenter if segmenter else draft_classifier
    return draft(folder, framework, arch, halved, toolbox)


def join_settings(draft: Draft, base: str) -> dict[str, Any]:
    """The config's variables, with the bases below a folder."""
    return dict(_base_=[f'{base}/{name}' for name in draft.bases], **draft.settings)


def resolve(draft: Draft, base: str) -> Config:
    """The config that a draft would become."""
    text = format_config(draft.summary, join_settings(draft, os.path.abspath(base)), {})
    return Config.fromstring(text, '.py')


def check_splits(cfg: Config) -> None:
    """Check the data of all splits as trainings and tests do.

    Raises:
        ValueError: They would refuse them.
    """
    loaders = ['train', 'val']
    if cfg.test_dataloader.dataset != cfg.val_dataloader.dataset:
        loaders.append('test')
    check_data(cfg, *loaders)
    if cfg.default_scope == 'mmseg':
        init_default_scope('mmseg')
        check_segmentation_data(cfg, *loaders)


def check_weights(cfg: Config, arch: str) -> None:
    """Check that initial weights in a file fit the backbone.

    Raises:
        ValueError: They do not.
    """
    backbone = cfg.model.backbone
    if 'init_cfg' not in backbone or not Path(backbone.init_cfg.checkpoint).is_file():
        return
    init_default_scope(cfg.default_scope)
    try:
        with show_errors_only():
            MODELS.build(backbone).init_weights()
    except WeightsError as error:
        raise ValueError(f'--pretrained does not fit --arch {arch}: {error}') from error


def time_training(cfg: Config, framework: str) -> Speed:
    """Time a few iterations.

    Raises:
        ValueError: The model does not train on these data.
    """
    with Console().status('timing a few iterations'):
        try:
            return measure_speed(cfg)
        except Exception as error:
            text = ' '.join(str(error).split()) or type(error).__name__
            raise ValueError(f'{framework} does not train on these data here: {text}') from error


def set_duration(draft: Draft, speed: Speed, hours: float | None) -> None:
    """Say how long the training takes, with fewer epochs if it would take longer than ``hours``.

    Raises:
        ValueError: One epoch takes longer.
    """

    def estimate(epochs: int) -> float:
        return speed.estimate(epochs, compute_val_interval(epochs))

    planned = epochs = draft.settings['max_epochs']
    if hours is not None and estimate(planned) > hours * 3600:
        fitting = (number for number in range(planned, 0, -1) if estimate(number) <= hours * 3600)
        epochs = next(fitting, 0)
        if not epochs:
            least = estimate(1)
            raise ValueError(
                f'--hours {hours:g} is too short: one epoch takes {format_duration(least)} here, which '
                f'is --hours {least / 3600:.2g}'
            )
        set_epochs(draft, Choice(epochs, f'as many of {planned} as fit into --hours {hours:g}'))
    reason = (
        f'{epochs * speed.iterations} iterations of {speed.iteration:.2g} s and validations of '
        f'{format_duration(speed.validation)}: {speed.source}'
    )
    draft.explain('duration', f'about {format_duration(estimate(epochs))}', reason)


def read_backbone(configs: Path, arch: str) -> dict[str, Any]:
    """Arguments of CEDNet, other than its outputs, in a framework of the toolboxes."""
    if arch != NANO:
        return dict(arch=arch, drop_path_rate=DROP_PATH_RATES[arch])
    backbone = Config.fromfile(configs / '_base_' / 'backbones' / 'cednet_nano.py').cednet_nano
    return {key: value for key, value in backbone.to_dict().items() if key not in ('type', 'pyramid')}


def set_toolbox(draft: Draft, toolbox: ToolboxModel) -> None:
    """Set what a framework of the toolboxes needs beside its model."""
    imports = [*toolbox.imports, *draft.settings.get('custom_imports', {}).get('imports', ())]
    draft.settings |= dict(toolbox.settings, custom_imports=dict(imports=list(dict.fromkeys(imports))))
    draft.comments['model'] = f'that of {toolbox.name}, with CEDNet and the classes above'
    draft.comments['model.backbone'] = toolbox.reason


def set_backbone(draft: Draft, arch: str) -> None:
    """Set the backbone's size, where the bases have another one."""
    backbone: dict = {}
    if arch not in ('tiny', NANO):  # which are in the bases
        backbone = dict(arch=arch, drop_path_rate=DROP_PATH_RATES[arch])
    if arch == NANO and draft.scope == 'mmdet':
        backbone = dict(pyramid=dict(levels=NANO_LEVELS))
    draft.settings['model'] = dict(backbone=backbone, **draft.settings['model'])


def set_initial_weights(draft: Draft, weights: Choice[str | None]) -> None:
    """Set the backbone's initial weights, and of random ones the layer scale that fits them."""
    backbone = draft.settings['model']['backbone']
    if weights.value:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=weights.value)
    elif draft.scope == 'mmseg':  # with the released segmenters' 1.0 features grow at stride 32
        backbone['layer_scale'] = 1e-6
        draft.comments['model.backbone.layer_scale'] = 'better than 1.0 from random weights'
    if not backbone:
        del draft.settings['model']['backbone']


def set_recipe(
    draft: Draft, arch: str, weights: Choice[str | None], toolbox: ToolboxModel | None
) -> None:
    """Set the optimizer that fits the initial weights, the schedule, and what else all configs have."""
    draft.explain('weights', weights.value or 'random', weights.reason)
    fine_tuned = weights.value and arch != NANO
    if toolbox and toolbox.optim_wrapper:
        draft.bases.append('schedules/scratch.py')
        draft.settings['optim_wrapper'] = dict(_delete_=True, **toolbox.optim_wrapper)
        optimizer = toolbox.optim_wrapper['optimizer']
        value = f'{optimizer["type"]}, {optimizer.get("lr", "its default rate")}'
        draft.explain('optimizer', value, f'that of {toolbox.name}')
    elif fine_tuned:
        set_fine_tuning(draft, arch)
    else:
        draft.bases += ['schedules/scratch.py']
        reason = 'the rate that was measured for small batches'
        draft.explain('optimizer', 'AdamW, 1e-3, schedules/scratch.py', reason)
    draft.bases.append(RUNTIMES[draft.scope])


def set_fine_tuning(draft: Draft, arch: str) -> None:
    """Set the optimizer for pre-trained weights of the paper's networks, and explain it."""
    draft.bases += ['optimizers/cednet.py', 'schedules/3x.py']
    decay: dict[str, Any] = {}
    owners, note = 'detectors', ''
    if draft.scope == 'mmseg':
        decay.update(decay_rate=0.9, head_weight_decay=None)
        owners = 'segmenters'
    elif draft.scope == 'mmpretrain':  # the head's weight decay is that of configs/imagenet/
        decay.update(head_weight_decay=None)
        note = '; classifiers were not measured'
    if arch != 'tiny':
        decay.update(decay_type='fine', num_layers=7 if draft.scope == 'mmseg' else 9)
    if decay:
        draft.settings['optim_wrapper'] = dict(paramwise_cfg=decay)
    reason = f"layer-wise decay and rate of the paper's {owners}, whose batches have 16 images{note}"
    draft.explain('optimizer', 'AdamW, 1e-4', reason)
