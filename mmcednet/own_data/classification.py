"""A config that trains a classifier on a folder of images per class."""

import os
from pathlib import Path
from typing import Any

from mmcednet.models.arch import parse_arch
from mmcednet.wording import count

from .choices import NANO, Choice, choose_batch_size, choose_epochs
from .class_folders import ClassFolders, find_class_folders
from .draft import Draft, set_dataloaders, set_schedule
from .image_sizes import measure_median_size
from .toolbox import ToolboxModel, set_num_classes

FRAMEWORKS = ('classifier',)
MIN_SIDE, MAX_SIDE = 64, {'nano': 128, 'other': 224}
NANO_BATCH_SIZE = 16


def draft_classifier(
    folder: Path, framework: str, arch: str, halved: bool, toolbox: ToolboxModel | None
) -> Draft:
    """Choose the settings of a classifier for a dataset.

    Args:
        folder: Folder of the dataset; see :func:`find_class_folders`.
        framework: 'classifier', or one of mmpretrain.
        arch: 'tiny', 'small', 'base' or 'nano'.
        halved: Whether the training is half as long as from random weights.
        toolbox: The model of a framework that is not in ``FRAMEWORKS``; None for these.

    Raises:
        ValueError: The dataset is not complete.
    """
    splits = find_class_folders(folder)
    images = splits['train'].images
    counts = {name: len(files) for name, files in images.items()}
    number = sum(counts.values())
    size = measure_median_size(splits['train'].files)
    draft = Draft('mmpretrain', count(number, 'training image'))
    smallest = min(counts, key=lambda name: counts[name])
    reason = f'folders; the fewest images, {counts[smallest]}, has {smallest}'
    draft.explain('classes', ', '.join(images), reason)
    side = min(MAX_SIDE.get(arch, MAX_SIDE['other']), max(MIN_SIDE, min(size) // 32 * 32))
    draft.explain('crops', f'{side}x{side}', f'the median image is {size[0]}x{size[1]}')
    batch_size = choose_batch_size(arch, (side, side))
    if arch == NANO:
        batch_size = Choice(NANO_BATCH_SIZE, 'the small classifiers of configs/imagenet/ learn with it')
    draft.explain('batch size', batch_size.value, batch_size.reason)
    epochs = choose_epochs(number, arch, batch_size.value, halved)
    draft.bases = ['datasets/custom_classification.py']
    draft.settings['classes'] = tuple(images)
    draft.settings['data_root'] = f'{folder.absolute()}{os.sep}'
    draft.settings['data_preprocessor'] = dict(num_classes=len(images))
    if toolbox:
        draft.settings['model'] = set_num_classes(toolbox.model, len(images))
    else:
        draft.bases.insert(0, f'models/{framework}{"_nano" if arch == NANO else ""}.py')
        draft.settings['model'] = dict(head=make_head(arch, len(images)))
    set_data(draft, splits, folder, side, batch_size.value)
    set_schedule(draft, epochs, batch_size, number, 'accuracy/top1')
    return draft


def make_head(arch: str, num_classes: int) -> dict:
    """Make the settings of the head."""
    if arch == NANO:
        return dict(num_classes=num_classes)
    settings = parse_arch(arch)
    channels, num_stages = settings.channels[5], len(settings.stages)
    return dict(num_classes=num_classes, in_channels=channels, num_stages=num_stages)


def set_data(
    draft: Draft, splits: dict[str, ClassFolders], folder: Path, side: int, batch_size: int
) -> None:
    """Set pipelines and data loaders."""
    settings = draft.settings
    load = dict(type='LoadImageFromFile')
    settings['train_pipeline'] = [
        load,
        dict(type='RandomResizedCrop', scale=side, crop_ratio_range=(0.35, 1.0)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    settings['test_pipeline'] = [
        load,
        dict(type='ResizeEdge', scale=side, edge='short'),
        dict(type='CenterCrop', crop_size=side),
        dict(type='PackInputs'),
    ]

    def describe(split: ClassFolders) -> dict[str, Any]:
        return dict(data_prefix=str(split.folder.relative_to(folder)))

    set_dataloaders(draft, splits, batch_size, describe)
