"""How many objects a model can find in an image, and how many the images of its data hold."""

import logging
import math
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from .coco_format import find_category_ids

# Settings of mmdet's models: detections of an image, candidates before NMS, queries, and proposals
LIMITS = ('max_per_img', 'max_per_image', 'nms_pre', 'num_queries', 'num_proposals')
DETECTIONS = (
    'model.test_cfg.rcnn.max_per_img',
    'model.test_cfg.max_per_img',
    'model.test_cfg.max_per_image',
    'model.num_queries',
)
COCO_LIMIT = 100  # mmdet's for COCO, by as many pycocotools measures the AP
ROOM = 1.5  # new images may hold more objects than those of the data, and some detections are wrong
STEP = 10


def suggest_limit(objects: int) -> int:
    """How many detections to allow where the most crowded image has this many objects."""
    return max(COCO_LIMIT, math.ceil(ROOM * objects / STEP) * STEP)


def list_limits(settings: Any, name: str = 'model') -> Iterator[tuple[str, int]]:
    """Iterate over the limits of a model's config: dotted name and number; 0 and -1 are none."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            if key in LIMITS and isinstance(value, int) and value > 0:
                yield f'{name}.{key}', value
            yield from list_limits(value, f'{name}.{key}')
    elif isinstance(settings, (list, tuple)):
        for index, value in enumerate(settings):
            yield from list_limits(value, f'{name}.{index}')


def find_detection_limit(model: dict) -> tuple[str, int] | None:
    """The setting that limits the detections of an image, and its number; None if there is none."""
    limits = dict(list_limits(model))
    return next(((name, limits[name]) for name in DETECTIONS if name in limits), None)


def count_objects(content: dict, classes: Collection[str] = ()) -> Counter:
    """Count the objects, but not crowds, of each image of a file in COCO's format.

    Args:
        content: The file's content.
        classes: Names of the classes that count. Default: all.

    Returns:
        Id of an image -> number of its objects; images without are missing.
    """
    used = find_category_ids(content, classes)
    images = {image['id'] for image in content['images']}
    return Counter(
        item['image_id']
        for item in content['annotations']
        if item.get('category_id') in used
        and item.get('image_id') in images
        and not item.get('iscrowd')
    )


def warn_about_limits(
    content: dict, ann_file: Path, classes: Collection[str], limits: Collection[tuple[str, int]]
) -> None:
    """Log a warning if an image has more objects than the model can find.

    Args:
        content: The content of an annotation file that has been checked.
        ann_file: The file, for the message.
        classes: The config's classes.
        limits: As of :func:`list_limits`.
    """
    counts = count_objects(content, classes)
    if not counts:
        return
    image_id, most = counts.most_common(1)[0]
    low = [f'{name}={value}' for name, value in limits if value < most]
    if not low:
        return
    name = next(image['file_name'] for image in content['images'] if image['id'] == image_id)
    print_log(
        f'{ann_file}: {name} has {most} objects, of which the model can find only some: raise '
        f'{", ".join(low)} to {suggest_limit(most)} or more',
        'current',
        logging.WARNING,
    )


def count_empty_images(content: dict, classes: Collection[str] = ()) -> int:
    """Count the images of a file in COCO's format that mmdet's ``filter_empty_gt`` leaves out.

    Args:
        content: The file's content.
        classes: Names of the classes that count. Default: all.
    """
    used = find_category_ids(content, classes)
    filled = {
        item.get('image_id') for item in content['annotations'] if item.get('category_id') in used
    }
    return sum(image['id'] not in filled for image in content['images'])


def log_empty_images(
    content: dict, ann_file: Path, classes: Collection[str], filter_cfg: dict | None
) -> None:
    """Log how many images a training leaves out as they have no objects.

    Args:
        content: The content of an annotation file that has been checked.
        ann_file: The file, for the message.
        classes: The config's classes.
        filter_cfg: Of mmdet's dataset.
    """
    if not (filter_cfg or {}).get('filter_empty_gt'):
        return
    empty = count_empty_images(content, classes)
    if empty:
        print_log(
            f'{ann_file}: {empty} of {len(content["images"])} images have no objects and are left out, '
            f'as filter_cfg.filter_empty_gt=True says',
            'current',
        )
