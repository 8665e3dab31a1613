"""Limits of a detector: how many proposals and detections an image may have."""

from collections.abc import Iterable
from typing import Any

from mmcednet.checks.limits import MIN_LIMIT, count_objects, suggest_limit

from .choices import NANO, Choice
from .data_folder import Split

PROPOSALS_PER_DETECTION = 2
MIN_CANDIDATES = {'nano': 200, 'other': 1000}  # others: mmdet's
CANDIDATES_PER_PROPOSAL = {'train': 2, 'test': 1}  # mmdet's; of each level, before NMS


def choose_limit(splits: Iterable[Split]) -> Choice[int]:
    """Number of detections of an image, from the most crowded image of all splits."""
    most, name = 0, ''
    for split in splits:
        counts = count_objects(split.content)
        if counts and max(counts.values()) > most:
            (image_id, most), *_ = counts.most_common(1)
            name = next(item['file_name'] for item in split.content['images'] if item['id'] == image_id)
    return Choice(suggest_limit(most), f'the most crowded image, {name}, has {most} objects')


def is_crowded(limit: int) -> bool:
    """Whether an image may have more detections than COCO's AP counts."""
    return limit > MIN_LIMIT


def set_limits(framework: str, arch: str, limit: int) -> dict[str, Any]:
    """Return the ``train_cfg`` and ``test_cfg`` of a model that finds up to ``limit`` objects.

    As many proposals are used for training as later: a head that learns from the best proposals only
    takes the others for objects.
    """
    candidates = max(MIN_CANDIDATES.get(arch, MIN_CANDIDATES['other']), PROPOSALS_PER_DETECTION * limit)
    if framework == 'retinanet':
        nms_pre = max(candidates, MIN_CANDIDATES['other'])
        return dict(test_cfg=dict(nms_pre=nms_pre, max_per_img=limit))
    train, test = (
        dict(nms_pre=factor * candidates, max_per_img=candidates)
        for factor in CANDIDATES_PER_PROPOSAL.values()
    )
    return dict(
        train_cfg=dict(rpn_proposal=train),
        test_cfg=dict(rpn=test, rcnn=dict(max_per_img=limit)),
    )
