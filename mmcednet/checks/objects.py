"""What mmdet and pycocotools do with each object of an annotation file: train, evaluate, leave out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmcednet.wording import list_first

from .coco_format import CUT

OUTSIDE = 1.0  # px by which a box may leave its image
MIN_NUMBERS = 6  # of a polygon: three points
MAX_NAMED = 5  # annotations in a warning

NO_IMAGE = 'have an image_id that is not in the file'
NO_CATEGORY = 'have a category_id that is not in the file'
LEAVING = 'have boxes that leave their images, and are clipped'
SHORT = 'have polygons of less than three points or an odd number of coordinates, which are left out'


@dataclass(frozen=True)
class Use:
    """What a data loader and its evaluator do with the objects of a file.

    Attributes:
        classes: The config's classes, in their order.
        trained: Whether a model is trained on them.
        metrics: What pycocotools evaluates with them: 'bbox', 'segm' or both; empty: nothing.
        with_masks: Whether the pipeline loads masks.
        min_size: Images with a smaller side are left out of the training, in px.
    """

    classes: tuple[str, ...] = ()
    trained: bool = True
    metrics: frozenset[str] = field(default_factory=frozenset)
    with_masks: bool = False
    min_size: float = 0


def find_omission(item: dict, image: dict | None, known: bool) -> str | None:
    """Why mmdet's ``CocoDataset`` leaves an object out; None if it does not.

    Args:
        item: Entry of the object.
        image: Entry of its image; None if the file has none.
        known: Whether the file has its category.
    """
    if image is None:
        return NO_IMAGE
    if not known:
        return NO_CATEGORY
    if item.get('ignore'):
        return "have 'ignore' set"
    x, y, width, height = item['bbox']
    if width < 1 or height < 1:
        return 'have boxes of less than 1 px'
    if min(x + width, image['width']) <= max(x, 0) or min(y + height, image['height']) <= max(y, 0):
        return 'have boxes outside of their images'
    if item['area'] <= 0:
        return "have an area of 0 or less instead of the object's in px"
    return None


def find_unusable(content: dict, use: Use) -> str | None:
    """Why there is no object to train on, or to evaluate; None if there is one."""
    images = {image['id']: image for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    reasons: dict[str, int] = {}
    for item in content['annotations']:
        image, name = images.get(item['image_id']), names.get(item['category_id'])
        reason = find_omission(item, image, name is not None)
        if not use.trained and reason not in (NO_IMAGE, NO_CATEGORY):
            reason = None  # pycocotools evaluates all of the others
        if reason is None and name not in use.classes:
            reason = "are of none of the config's classes"
        if reason is None and item.get('iscrowd'):
            reason = 'are crowds'
        if reason is None and use.trained and image and is_smaller(image, use.min_size):
            reason = f'are in images smaller than filter_cfg.min_size={use.min_size}'
        if reason is None and use.trained and use.with_masks and not has_polygon(item['segmentation']):
            reason = 'have no polygon of three points'
        if reason is None:
            return None
        reasons[reason] = reasons.get(reason, 0) + 1
    counts = ', '.join(f'{count} {reason}' for reason, count in reasons.items())
    return (
        f'there is no object to {"train on" if use.trained else "evaluate"}: {counts or "it has none"}'
    )


def is_smaller(image: dict, size: float) -> bool:
    return min(image['width'], image['height']) < size


def has_polygon(segmentation: Any) -> bool:
    """Whether a mask has a polygon that mmdet keeps, or is of run lengths."""
    return isinstance(segmentation, dict) or any(is_polygon(part) for part in segmentation or ())


def is_polygon(numbers: list) -> bool:
    return len(numbers) >= MIN_NUMBERS and len(numbers) % 2 == 0


def find_evaluation_errors(item: dict, use: Use, counted: bool) -> Iterator[str]:
    """Find what pycocotools would fail on, or evaluate wrongly.

    Args:
        item: Entry of an object.
        use: Has metrics.
        counted: Whether the object's image and class are evaluated.
    """
    if item.get('iscrowd') not in (0, 1):
        yield f'its iscrowd {CUT.repr(item.get("iscrowd"))} must be 0 or 1'
    try:
        number = float(item['id'])
    except ValueError:
        number = math.nan
    if number == 0 or math.isnan(number):
        meaning = 'stands for no match' if number == 0 else 'is no number'
        yield (
            f'its id {CUT.repr(item["id"])} {meaning} in the evaluation by pycocotools; number the '
            f'annotations from 1'
        )
    mask = item.get('segmentation')
    # pycocotools tells polygons from boxes by the first one
    first = mask[0] if isinstance(mask, list) and mask else None
    begins = isinstance(mask, dict) or (isinstance(first, list) and len(first) >= MIN_NUMBERS)
    if 'segm' in use.metrics and counted and not begins:
        yield (
            f'its segmentation {CUT.repr(mask)} must begin with a polygon of three points or more for '
            f'the evaluation of masks'
        )


def find_warnings(content: dict, use: Use) -> Iterator[str]:
    """Find what mmdet leaves out or clips."""
    images = {image['id']: image for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    found: dict[str, list] = {}
    for item in content['annotations']:
        image = images.get(item['image_id'])
        reason = find_omission(item, image, item['category_id'] in categories)
        if reason is not None:
            if use.trained or reason in (NO_IMAGE, NO_CATEGORY):
                reason += ', and are left out'
            else:
                reason += ', and are evaluated, although mmdet trains on none such'
        elif image is not None and leaves(item['bbox'], image):
            reason = LEAVING
        for text in (reason, SHORT if has_short_polygon(item.get('segmentation')) else None):
            if text:
                found.setdefault(text, []).append(item['id'])
    for text, ids in found.items():
        yield f'{len(ids)} annotations {text}: {list_first(ids, MAX_NAMED)}'


def leaves(box: list, image: dict) -> bool:
    """Whether a box leaves its image by more than rounding."""
    x, y, width, height = box
    right, bottom = x + width - image['width'], y + height - image['height']
    return max(-x, -y, right, bottom) > OUTSIDE


def has_short_polygon(segmentation: Any) -> bool:
    return isinstance(segmentation, list) and not all(map(is_polygon, segmentation))
