"""A config that trains a classifier on a folder of images per class."""

import os
from pathlib import Path

from mmcednet.models.arch import parse_arch

from .choices import NANO, Choice, choose_batch_size, choose_epochs
from .class_folders import ClassFolders, find_class_folders, measure_images
from .draft import Draft, Expression, set_schedule

FRAMEWORKS = ('classifier',)
MIN_SIDE, MAX_SIDE = 64, {'nano': 128, 'other': 224}
NANO_BATCH_SIZE = 16


def draft_classifier(folder: Path, framework: str, arch: str, pretrained: bool) -> Draft:
    """Choose the settings of a classifier for a dataset.

    Args:
        folder: Folder of the dataset; see :func:`find_class_folders`.
        framework: 'classifier'.
        arch: 'tiny', 'small', 'base' or 'nano'.
        pretrained: Whether the backbone starts from pre-trained weights.

    Raises:
        ValueError: The dataset is not complete.
    """
    splits = find_class_folders(folder)
    images = splits['train'].images
    counts = {name: len(files) for name, files in images.items()}
    number = sum(counts.values())
    size = measure_images(splits['train'])
    draft = Draft('mmpretrain', f'{number} training images')
    smallest = min(counts, key=lambda name: counts[name])
    reason = f'folders; the fewest images, {counts[smallest]}, has {smallest}'
    draft.explain('classes', ', '.join(images), reason)
    side = min(MAX_SIDE.get(arch, MAX_SIDE['other']), max(MIN_SIDE, min(size) // 32 * 32))
    draft.explain('crops', f'{side}x{side}', f'the median image is {size[0]}x{size[1]}')
    batch_size = choose_batch_size(arch, (side, side))
    if arch == NANO:
        batch_size = Choice(NANO_BATCH_SIZE, 'the small classifiers of configs/imagenet/ learn with it')
    draft.explain('batch size', batch_size.value, batch_size.reason)
    epochs = choose_epochs(number, arch, batch_size.value, pretrained)
    model = f'models/{framework}{"_nano" if arch == NANO else ""}.py'
    draft.bases = [model, 'datasets/custom_classification.py']
    draft.settings['classes'] = tuple(images)
    draft.settings['data_root'] = f'{folder}{os.sep}'
    draft.settings['data_preprocessor'] = dict(num_classes=len(images))
    head: dict = dict(num_classes=len(images))
    if arch != NANO:
        settings = parse_arch(arch)
        head |= dict(in_channels=settings.channels[5], num_stages=len(settings.stages))
    draft.settings['model'] = dict(head=head)
    set_data(draft, splits, folder, side, batch_size.value)
    set_schedule(draft, epochs, batch_size, 'accuracy/top1')
    return draft


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
    for name in ('train', 'val', 'test'):
        split = splits.get(name, splits['val'])
        dataset = dict(
            data_root=Expression('data_root'),
            data_prefix=str(split.folder.relative_to(folder)),
            metainfo=dict(classes=Expression('classes')),
            pipeline=Expression('train_pipeline' if name == 'train' else 'test_pipeline'),
        )
        size = dict(batch_size=batch_size) if name == 'train' else {}
        settings[f'{name}_dataloader'] = dict(**size, dataset=dataset)
