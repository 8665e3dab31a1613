"""A config that trains a segmenter on images and label maps."""

import os
from pathlib import Path
from typing import Any

from mmcednet.data.label_values import IGNORED
from mmcednet.models.arch import parse_arch
from mmcednet.wording import count

from .choices import NANO, choose_batch_size, choose_epochs
from .draft import Draft, Expression, set_dataloaders, set_schedule
from .image_sizes import measure_median_size
from .label_classes import LabelClasses, find_classes
from .label_maps import LabelledImages, find_label_maps, find_values_of
from .toolbox import ToolboxModel, set_num_classes

FRAMEWORKS = ('upernet',)
MAX_CROP = {'nano': 256, 'other': 512}


def draft_segmenter(
    folder: Path, framework: str, arch: str, halved: bool, toolbox: ToolboxModel | None
) -> Draft:
    """Choose the settings of a segmenter for a dataset.

    Args:
        folder: Folder of the dataset; see :func:`find_label_maps`.
        framework: 'upernet', or one of mmseg.
        arch: 'tiny', 'small', 'base' or 'nano'.
        halved: Whether the training is half as long as from random weights.
        toolbox: The model of a framework that is not in ``FRAMEWORKS``; None for these.

    Raises:
        ValueError: The dataset is not complete, or which value in the label maps is which class is
            unclear.
    """
    splits = find_label_maps(folder)
    train = splits['train']
    found = {name: find_values_of(split) for name, split in splits.items()}
    classes = find_classes(folder, found)
    size = measure_median_size(train.files)
    draft = Draft('mmseg', count(len(train.names), 'training image'))
    absent = [name for name in classes.names if name not in classes.select(found['train'])]
    none = f'; no pixel for training: {", ".join(absent)}' if absent else ''
    draft.explain('classes', ', '.join(classes.names), f'{classes.source}{none}')
    side = min(MAX_CROP.get(arch, MAX_CROP['other']), max(32, min(size) // 32 * 32))
    draft.explain('crops', f'{side}x{side}', f'the median image is {size[0]}x{size[1]}')
    batch_size = choose_batch_size(arch, (side, side))
    draft.explain('batch size', batch_size.value, batch_size.reason)
    epochs = choose_epochs(len(train.names), arch, batch_size.value, halved)
    draft.bases = ['datasets/custom_segmentation.py']
    draft.settings['classes'] = classes.names
    draft.comments['classes'] = 'the name of each label, from 0; 255 is ignored'
    if classes.values:
        draft.comments['classes'] = 'the names of the classes'
        draft.settings['label_values'] = classes.values
        draft.comments['label_values'] = 'their values in the label maps; others are ignored'
    draft.settings['data_root'] = f'{folder.absolute()}{os.sep}'
    if toolbox:
        model = set_num_classes(toolbox.model, len(classes.names))
        model['data_preprocessor']['size'] = (side, side)
        draft.settings['model'] = model | dict(test_cfg=dict(mode='whole'))
    else:
        draft.bases.insert(0, f'models/{framework}{"_nano" if arch == NANO else ""}.py')
        draft.settings['model'] = make_model(arch, len(classes.names), side)
    set_data(draft, splits, folder, side, batch_size.value, classes)
    set_schedule(draft, epochs, batch_size, len(train.names), 'mIoU')
    return draft


def make_model(arch: str, num_classes: int, side: int) -> dict:
    """Make the settings of preprocessing, heads and test."""
    decode_head: dict = dict(num_classes=num_classes)
    auxiliary_head: dict = dict(num_classes=num_classes)
    if arch == 'base':  # 'small' is as wide as 'tiny'
        channels = parse_arch(arch).channels
        decode_head['in_channels'] = list(channels.values())
        auxiliary_head['in_channels'] = channels[3]
    return dict(
        data_preprocessor=dict(size=(side, side)),
        decode_head=decode_head,
        auxiliary_head=auxiliary_head,
        test_cfg=dict(_delete_=True, mode='whole'),
    )


def set_data(
    draft: Draft,
    splits: dict[str, LabelledImages],
    folder: Path,
    side: int,
    batch_size: int,
    classes: LabelClasses,
) -> None:
    """Set pipelines and data loaders."""
    settings = draft.settings
    load: list[dict] = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    if classes.values:
        load.append(dict(type='MapLabels', values=Expression('label_values')))
        if void := sorted(classes.ignored - {IGNORED}):
            load[-1]['ignored'] = void
    settings['train_pipeline'] = [
        *load,
        # the shorter side becomes one to two times as long as the crop's
        dict(type='RandomResize', scale=(8 * side, side), ratio_range=(1.0, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(side, side), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]
    settings['test_pipeline'] = [*load, dict(type='PackSegInputs')]

    def describe(split: LabelledImages) -> dict[str, Any]:
        prefix = dict(
            img_path=str(split.images.relative_to(folder)),
            seg_map_path=str(split.labels.relative_to(folder)),
        )
        return dict(data_prefix=prefix, img_suffix=split.suffix)

    set_dataloaders(draft, splits, batch_size, describe)
