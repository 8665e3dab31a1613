"""Writes a config for a folder of images."""

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcednet.checks import check_data
from mmcednet.checks.segmentation import check_segmentation_data
from mmcednet.config_files import check_is_new, write_config
from mmcednet.models.utils import check_choice

from .choices import NANO
from .detection import FRAMEWORKS as DETECTORS
from .detection import NANO_LEVELS, draft_detector
from .draft import Draft
from .segmentation import FRAMEWORKS as SEGMENTERS
from .segmentation import draft_segmenter

FRAMEWORKS = (*DETECTORS, *SEGMENTERS)
ARCHS = ('tiny', 'small', 'base', NANO)
DROP_PATH_RATES = {'small': 0.3, 'base': 0.4}  # the paper's; 'tiny' has 0.2 in its base
NAMES = {'tiny': 'CEDNet-T', 'small': 'CEDNet-S', 'base': 'CEDNet-B', NANO: 'A very small CEDNet'}


def write_new_config(
    folder: Path,
    framework: str,
    arch: str,
    out: Path,
    configs: Path,
    pretrained: Path | None = None,
    scale: tuple[int, int] | None = None,
) -> Draft:
    """Look at a dataset and write a config that trains on it.

    Args:
        folder: Folder of the dataset.
        framework: One of ``FRAMEWORKS``.
        arch: One of ``ARCHS``; 'nano' is for two CPU cores.
        out: The config, which must not exist.
        configs: This project's ``configs/``.
        pretrained: Checkpoint with the backbone's initial weights; None trains from random weights.
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
    if pretrained and not pretrained.is_file():
        raise ValueError(f'the checkpoint {pretrained} does not exist')
    if framework in DETECTORS:
        draft = draft_detector(folder, framework, arch, pretrained is not None, scale)
    elif scale:
        raise ValueError(f'{framework} trains on crops of the images as they are, without a scale')
    else:
        draft = draft_segmenter(folder, framework, arch, pretrained is not None)
    set_backbone(draft, arch, pretrained)
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


def set_backbone(draft: Draft, arch: str, pretrained: Path | None) -> None:
    """Set the backbone's size and initial weights, and the optimizer that fits them."""
    backbone: dict = {}
    if arch in DROP_PATH_RATES:
        backbone = dict(arch=arch, drop_path_rate=DROP_PATH_RATES[arch])
    if arch == NANO and draft.scope == 'mmdet':
        backbone = dict(pyramid=dict(levels=NANO_LEVELS))
    if pretrained:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=str(pretrained.absolute()))
        draft.bases += ['optimizers/cednet.py', 'schedules/3x.py']
        draft.explain(
            'optimizer', 'AdamW, 1e-4', 'fine-tuning, as the paper: layer-wise decay of the rate'
        )
    else:
        draft.bases += ['schedules/scratch.py']
        draft.explain('optimizer', 'schedules/scratch.py', 'no pre-trained weights are given')
    runtime = 'runtime.py' if draft.scope == 'mmdet' else 'segmentation_runtime_epochs.py'
    draft.bases.append(runtime)
    if backbone:
        draft.settings['model'] = dict(backbone=backbone, **draft.settings['model'])
