"""A config that trains a detector on a dataset in COCO's format."""

import os
from pathlib import Path
from typing import Any

from mmcednet.checks.annotations import refuse_errors
from mmcednet.checks.objects import Use
from mmcednet.wording import count

from .choices import (
    NANO,
    Choice,
    choose_base_size,
    choose_batch_size,
    choose_epochs,
    choose_ratios,
    choose_scale,
)
from .data_folder import Measurements, Split, find_splits, find_untrained, measure
from .detection_limits import explain_empty_images, set_limits
from .draft import Draft, Expression, set_dataloaders, set_schedule
from .toolbox import ToolboxModel, set_num_classes

MASK_FRAMEWORKS = ('mask_rcnn', 'cascade_mask_rcnn')
FRAMEWORKS = ('retinanet', *MASK_FRAMEWORKS)
NANO_LEVELS = (3, 4, 5, 6)  # instead of 2 to 5: images are larger than the demo's
MIN_MAX_BASE = {'retinanet': (1.5, 4.0), 'mask_rcnn': (2.0, 8.0), 'cascade_mask_rcnn': (2.0, 8.0)}


def draft_detector(
    folder: Path,
    framework: str,
    arch: str,
    halved: bool,
    scale: tuple[int, int] | None,
    toolbox: ToolboxModel | None,
) -> Draft:
    """Choose the settings of a detector for a dataset.

    Args:
        folder: Folder of the dataset, in COCO's format; see :func:`find_splits`.
        framework: One of ``FRAMEWORKS``, or of mmdet.
        arch: 'tiny', 'small', 'base' or 'nano'.
        halved: Whether the training is half as long as from random weights.
        scale: Width and height in px that images are resized to, keeping their ratio; None: chosen
            by the sizes of images and objects.
        toolbox: The model of a framework that is not in ``FRAMEWORKS``; None for these.

    Raises:
        ValueError: The dataset is not complete or has errors, or no masks for a framework that needs
            them.
    """
    with_mask = toolbox.with_mask if toolbox else framework in MASK_FRAMEWORKS
    splits = find_splits(folder)
    for split in splits.values():
        refuse_errors(split.content, split.ann_file, split.images, Use())
    data = measure(splits['train'])
    if with_mask and not data.has_masks:
        raise ValueError(
            f'{framework} needs masks, but some objects of {splits["train"].ann_file} have no '
            f'segmentation; use retinanet'
        )
    summary = f'{count(data.num_images, "training image")}, {count(data.num_objects, "object")}'
    draft = Draft('mmdet', summary)
    chosen = Choice(scale, 'as given') if scale else choose_scale(data, arch)
    batch_size = choose_batch_size(arch, chosen.value)
    epochs = choose_epochs(data.num_images, arch, batch_size.value, halved)
    draft.explain('classes', ', '.join(data.classes), f'of {splits["train"].ann_file}')
    for name, places in find_untrained(splits, data.classes).items():
        draft.explain('no class', name, f'no object for training; left out: {places}')
    explain_empty_images(draft, splits['train'])
    draft.explain('image scale', chosen.value, chosen.reason)
    draft.bases = ['datasets/custom_coco.py']
    draft.settings['classes'] = data.classes
    draft.settings['data_root'] = f'{folder.absolute()}{os.sep}'
    if toolbox:
        draft.settings['model'] = set_num_classes(toolbox.model, len(data.classes))
    else:
        draft.bases.insert(0, f'models/{framework}{"_nano" if arch == NANO else ""}.py')
        draft.settings['model'] = make_heads(draft, framework, arch, data, chosen.value)
    set_data(draft, splits, folder, chosen, batch_size, with_mask)
    metric = set_limits(draft, None if toolbox else framework, arch, splits.values())
    set_schedule(draft, epochs, batch_size, data.num_images, metric)
    return draft


def make_heads(
    draft: Draft, framework: str, arch: str, data: Measurements, scale: tuple[int, int]
) -> dict[str, Any]:
    """Make the settings of the heads, number of classes and anchors, and explain the anchors."""
    num_classes = len(data.classes)
    ratios = choose_ratios(data)
    stride = 8 if framework == 'retinanet' or arch == NANO else 4
    base = choose_base_size(data, scale, stride, MIN_MAX_BASE[framework])
    draft.explain('anchor ratios', ratios.value, ratios.reason)
    draft.explain('smallest anchors', f'{base.value * stride:.0f} px', base.reason)
    anchors: dict[str, Any] = dict(ratios=ratios.value)
    if arch == NANO:
        anchors['strides'] = [2**level for level in NANO_LEVELS]
    if framework == 'retinanet':
        anchors = dict(octave_base_scale=base.value, **anchors)
        return dict(bbox_head=dict(num_classes=num_classes, anchor_generator=anchors))
    scales = [base.value] if arch != NANO else [base.value, round(base.value * 2**0.5, 2)]
    box_head: Any = dict(num_classes=num_classes)
    if framework == 'cascade_mask_rcnn':
        box_head = Expression(
            f'[dict(head, num_classes={num_classes}) for head in _base_.model.roi_head.bbox_head]'
        )
    roi_head = dict(bbox_head=box_head, mask_head=dict(num_classes=num_classes))
    if arch == NANO:
        layers = dict(featmap_strides=anchors['strides'], finest_scale=4 * anchors['strides'][0])
        roi_head = dict(bbox_roi_extractor=layers, mask_roi_extractor=layers, **roi_head)
    return dict(rpn_head=dict(anchor_generator=dict(scales=scales, **anchors)), roi_head=roi_head)


def set_data(
    draft: Draft,
    splits: dict[str, Split],
    folder: Path,
    scale: Choice[tuple[int, int]],
    batch_size: Choice[int],
    with_mask: bool,
) -> None:
    """Set pipelines, data loaders and evaluators."""
    load = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, **(dict(with_mask=True) if with_mask else {})),
    ]
    settings = draft.settings
    settings['train_pipeline'] = [
        *load,
        dict(type='RandomResize', scale=scale.value, ratio_range=(0.8, 1.25), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ]
    settings['test_pipeline'] = [
        load[0],
        dict(type='Resize', scale=scale.value, keep_ratio=True),
        load[1],
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
        ),
    ]
    draft.comments['train_pipeline'] = (
        'add vertical flips (direction) where images have no top, for example under a microscope'
    )
    draft.explain('batch size', batch_size.value, batch_size.reason)

    def describe(split: Split) -> dict[str, Any]:
        return dict(
            ann_file=str(split.ann_file.relative_to(folder)),
            data_prefix=dict(img=f'{split.images.relative_to(folder)}/'),
        )

    set_dataloaders(draft, splits, batch_size.value, describe)
    for name in ('val', 'test'):
        split = splits.get(name, splits['val'])
        settings[f'{name}_evaluator'] = dict(
            ann_file=str(split.ann_file.absolute()), metric=['bbox', 'segm'] if with_mask else 'bbox'
        )
