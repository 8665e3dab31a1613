"""Limits of a detector, proposals and detections, and the metric that counts as many."""

from collections.abc import Iterable
from typing import Any

from mmcednet.checks.limits import (
    COCO_LIMIT,
    LIMITS,
    count_empty_images,
    count_objects,
    suggest_limit,
)
from mmcednet.config_files import iter_dicts

from .data_folder import Split
from .draft import Draft

PROPOSALS_PER_DETECTION = 2
MIN_PROPOSALS = {'nano': 200, 'other': 1000}  # others: mmdet's, also the candidates of RetinaNet


def explain_empty_images(draft: Draft, train: Split) -> None:
    """Say how many training images have no objects, if some have none."""
    empty = count_empty_images(train.content)
    if empty:
        draft.explain(
            'without objects',
            f'{empty} of {len(train.content["images"])} images',
            'kept, as they show what is no object; filter_empty_gt=True leaves them out',
        )


def set_limits(draft: Draft, framework: str | None, arch: str, splits: Iterable[Split]) -> str:
    """Set how many objects of an image can be found, and by which metric the best checkpoint is kept.

    Args:
        draft: The config, with model and evaluators.
        framework: A detector of this project; None: the model is that of a toolbox's config.
        arch: Its backbone.
        splits: All splits.

    Returns:
        The metric: COCO's AP of boxes, or of masks if there are any; where images have more objects
        than it counts, the AP of as many detections as can be found.
    """
    most, name = find_most_crowded(splits)
    limit = suggest_limit(most)
    reason = f'the most crowded image, {name}, has {most} objects'
    draft.explain('detections', f'at most {limit} an image', reason)
    model = draft.settings['model']
    if framework:
        model |= limit_model(framework, arch, limit)
    else:
        raise_limits(model, limit)
    with_mask = 'segm' in draft.settings['val_evaluator']['metric']
    metric = f'coco/{"segm" if with_mask else "bbox"}_mAP'
    reason = 'AP of masks' if with_mask else 'AP of boxes'
    if most > COCO_LIMIT:
        metric += f'@{limit}'
        reason += f'; that of COCO, beside it, counts {COCO_LIMIT} detections of an image'
        draft.settings['custom_imports'] = dict(imports=['mmcednet', 'mmcednet.evaluation'])
        for evaluator in ('val_evaluator', 'test_evaluator'):
            crowded = dict(type='CrowdedCocoMetric', max_dets=limit)
            draft.settings[evaluator] = crowded | draft.settings[evaluator]
    draft.explain('best checkpoint', metric, reason)
    return metric


def find_most_crowded(splits: Iterable[Split]) -> tuple[int, str]:
    """The largest number of objects in an image of any split, and the image's name."""
    most, name = 0, ''
    for split in splits:
        counts = count_objects(split.content)
        if counts and max(counts.values()) > most:
            ((image_id, most),) = counts.most_common(1)
            name = next(item['file_name'] for item in split.content['images'] if item['id'] == image_id)
    return most, name


def limit_model(framework: str, arch: str, limit: int) -> dict[str, Any]:
    """Return the ``train_cfg`` and ``test_cfg`` of a model that finds up to ``limit`` objects.

    Training and test have the same number of proposals: a head that has learned from the best ones
    only takes the others for objects.
    """
    proposals = max(MIN_PROPOSALS.get(arch, MIN_PROPOSALS['other']), PROPOSALS_PER_DETECTION * limit)
    if framework == 'retinanet':
        nms_pre = max(proposals, MIN_PROPOSALS['other'])
        return dict(test_cfg=dict(nms_pre=nms_pre, max_per_img=limit))
    # as in mmdet, twice as many candidates of each level for training
    return dict(
        train_cfg=dict(rpn_proposal=dict(nms_pre=2 * proposals, max_per_img=proposals)),
        test_cfg=dict(rpn=dict(nms_pre=proposals, max_per_img=proposals), rcnn=dict(max_per_img=limit)),
    )


def raise_limits(settings: Any, limit: int) -> None:
    """Raise all limits of a toolbox's model that are below ``limit``, at any depth of its config."""
    for part in iter_dicts(settings):
        for key in LIMITS:
            value = part.get(key)
            if isinstance(value, int) and 0 < value < limit:
                part[key] = limit
