"""Writes a config for a folder of images."""

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcednet.checks import check_data
from mmcednet.checks.segmentation import check_segmentation_data
from mmcednet.config_files import check_is_new, write_config
from mmcednet.models.utils import check_choice

from .choices import NANO, Choice, choose_weights
from .classification import FRAMEWORKS as CLASSIFIERS
from .classification import draft_classifier
from .detection import FRAMEWORKS as DETECTORS
from .detection import NANO_LEVELS, draft_detector
from .draft import Draft
from .segmentation import FRAMEWORKS as SEGMENTERS
from .segmentation import draft_segmenter

FRAMEWORKS = (*DETECTORS, *SEGMENTERS, *CLASSIFIERS)
ARCHS = ('tiny', 'small', 'base', NANO)
DROP_PATH_RATES = {'small': 0.3, 'base': 0.4}  # the paper's; 'tiny' has 0.2 in its base
RUNTIMES = {
    'mmdet': 'runtime.py',
    'mmseg': 'segmentation_runtime_epochs.py',
    'mmpretrain': 'classification_runtime.py',
}
NAMES = {'tiny': 'CEDNet-T', 'small': 'CEDNet-S', 'base': 'CEDNet-B', NANO: 'A very small CEDNet'}


def write_new_config(
    folder: Path,
    framework: str,
    arch: str,
    out: Path,
    configs: Path,
    pretrained: str | None = None,
    scale: tuple[int, int] | None = None,
) -> Draft:
    """Look at a dataset and write a config that trains on it.

    Args:
        folder: Folder of the dataset.
        framework: One of ``FRAMEWORKS``.
        arch: One of ``ARCHS``; 'nano' is for two CPU cores.
        out: The config, which must not exist.
        configs: This project's ``configs/``.
        pretrained: The backbone's initial weights, as for :func:`choose_weights`.
        scale: Width and height in px that a detector's images are resized to, keeping their ratio.
            Default: chosen by the sizes of images and objects.

    Returns:
        The settings and the reasons for them.

    Raises:
        ValueError: The dataset is not complete, or has errors that the training would report, or an
            argument is unknown, or ``out`` exists; then nothing is written.
    """
    check_choice('framework', framework, FRAMEWORKS)
    check_choice('arch', arch, ARCHS)
    check_is_new(out)
    weights = choose_weights(arch, pretrained)
    if scale and framework not in DETECTORS:
        raise ValueError(f'{framework} trains on crops of the images, without a scale')
    has_weights = weights.value is not None
    if framework in DETECTORS:
        draft = draft_detector(folder, framework, arch, has_weights, scale)
    elif framework in SEGMENTERS:
        draft = draft_segmenter(folder, framework, arch, has_weights)
    else:
        draft = draft_classifier(folder, framework, arch, has_weights)
    set_backbone(draft, arch, weights)
    base = str(configs / '_base_')
    if configs.parent in out.absolute().parents:  # so that the project's folder can be moved
        base = os.path.relpath(base, out.parent.absolute())
    settings = dict(_base_=[f'{base}/{name}' for name in draft.bases], **draft.settings)
    header = f'{NAMES[arch]} with {framework} for {folder}: {draft.summary}'
    write_config(out, header, settings, draft.comments, check_splits)
    return draft


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


def set_backbone(draft: Draft, arch: str, weights: Choice[str | None]) -> None:
    """Set the backbone's size and initial weights, and the optimizer that fits them."""
    backbone: dict = {}
    if arch in DROP_PATH_RATES:
        backbone = dict(arch=arch, drop_path_rate=DROP_PATH_RATES[arch])
    if arch == NANO and draft.scope == 'mmdet':
        backbone = dict(pyramid=dict(levels=NANO_LEVELS))
    draft.explain('weights', weights.value or 'random', weights.reason)
    if weights.value:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=weights.value)
    if weights.value and arch != NANO:
        draft.bases += ['optimizers/cednet.py', 'schedules/3x.py']
        draft.explain(
            'optimizer', 'AdamW, 1e-4', 'fine-tuning, as the paper: layer-wise decay of the rate'
        )
    else:
        draft.bases += ['schedules/scratch.py']
        reason = 'the rate that was measured for small batches'
        draft.explain('optimizer', 'AdamW, 1e-3, schedules/scratch.py', reason)
    draft.bases.append(RUNTIMES[draft.scope])
    if backbone:
        draft.settings['model'] = dict(backbone=backbone, **draft.settings['model'])
