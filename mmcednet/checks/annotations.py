"""Pre-flight check of the annotations in a file of COCO's format."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmcednet.images import ImageError, read_size

from .coco_format import CUT, find_mask_error, is_number

LINES = 20  # of the list of errors
HEADERS = 2000  # images whose size is read from the file
MIN_SIDE = 2  # px; numpy calls a flipped image of one row or column contiguous, which torch refuses
MAX_RATIO = 200  # of an image's sides; the recipes resize images to 100 px or more
OUTSIDE = 1.0  # px by which a box may leave its image


def check_annotations(content: dict, ann_file: Path, images: Path, evaluated: bool = False) -> None:
    """Check the objects and images of an annotation file.

    What mmdet would leave out, or clip, is logged as warnings: empty boxes, boxes outside of their
    images, unknown categories or images, and polygons of less than three points.

    Args:
        content: The file's content.
        ann_file: The file, for the messages.
        images: Folder of the images.
        evaluated: Whether pycocotools evaluates predictions with them; it needs ``iscrowd``.

    Raises:
        ValueError: An id is used twice, a box is not four numbers or has a negative size, an object has
            no area, a mask or an image file has another size than the image, or an image has too many
            pixels or cannot be resized; a list of at most 20 lines.
    """
    errors = list(find_errors(content, images, evaluated))
    if errors:
        lines = errors if len(errors) <= LINES else [*errors[: LINES - 1], '...']
        text = ''.join(f'\n  {line}' for line in lines)
        raise ValueError(f'{ann_file} has {len(errors)} errors:{text}')
    for warning in find_warnings(content):
        print_log(f'{ann_file}: {warning}', 'current', logging.WARNING)


def find_errors(content: dict, images: Path, evaluated: bool) -> Iterator[str]:
    """Find what a training would fail on, or train wrongly on."""
    for kind in ('images', 'annotations'):
        counts = Counter(item.get('id') for item in content[kind])
        for number, count in counts.items():
            if number is None:
                yield f'{count} {kind} have no id'
            elif count > 1:
                yield f'{kind[:-1]} {number}: {count} {kind} have this id'
    by_id = {image.get('id'): image for image in content['images']}
    for image in content['images']:
        if not all(is_number(image.get(key)) and image[key] > 0 for key in ('width', 'height')):
            yield f'image {image.get("id")}: its width and height must be positive numbers'
            return  # what follows compares with them
    for item in content['annotations']:
        for error in find_object_errors(item, by_id.get(item.get('image_id')), evaluated):
            yield f'annotation {item.get("id")}: {error}'
    yield from find_other_sizes(content['images'], images)


def find_object_errors(item: dict, image: dict | None, evaluated: bool) -> Iterator[str]:
    """Find errors of one annotation, whose image may be missing."""
    for key in ('image_id', 'category_id', 'area'):
        if key not in item:
            yield f'it has no {key}'
    if 'area' in item and not is_number(item['area']):
        yield f'its area {CUT.repr(item["area"])} must be a finite number'
    box = item.get('bbox')
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        yield f'its bbox {CUT.repr(box)} must be four finite numbers'
    elif min(box[2:]) < 0:
        yield f'its bbox {box} has a negative width or height'
    if evaluated and item.get('iscrowd') not in (0, 1):
        yield f'its iscrowd {CUT.repr(item.get("iscrowd"))} must be 0 or 1'
    error = find_mask_error(item.get('segmentation'), image) if image else None
    if error:
        yield error


def find_other_sizes(images: Sequence[dict], folder: Path) -> Iterator[str]:
    """Find image files of another size than the file says, in a sample of a large dataset."""
    for image in images[:: -(-len(images) // HEADERS)]:
        path = folder / image['file_name']
        try:
            size = read_size(path)
        except ImageError as error:
            yield f'image {image.get("id")}: {error}'
            continue
        if size is None:
            yield f'image {image.get("id")}: {path} cannot be read as an image'
            continue
        width, height, rotated = size
        if (width, height) != (image['width'], image['height']):
            reason = ', as its EXIF orientation says that it is rotated' if rotated else ''
            yield (
                f'image {image.get("id")}: {path} has {width}x{height} px{reason}, but the file says '
                f'{image["width"]}x{image["height"]}'
            )
        elif min(size[:2]) < MIN_SIDE or max(size[:2]) > MAX_RATIO * min(size[:2]):
            yield (
                f'image {image.get("id")}: {path} has {width}x{height} px, which cannot be flipped or '
                f'resized; the sides must be {MIN_SIDE} px or more and differ by a factor of at most '
                f'{MAX_RATIO}'
            )


def find_warnings(content: dict) -> Iterator[str]:
    """Find what mmdet leaves out or clips."""
    annotations = content['annotations']
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    known = [item for item in annotations if item['image_id'] in sizes]
    boxes = np.array([item['bbox'] for item in known], float).reshape(-1, 4)
    limits = np.array([sizes[item['image_id']] for item in known], float).reshape(-1, 2)
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    empty = (boxes[:, 2:] < 1).any(1)
    outside = ((start >= limits) | (end <= 0)).any(1) & ~empty
    leaving = ((start < -OUTSIDE) | (end > limits + OUTSIDE)).any(1) & ~outside & ~empty
    kinds: dict[str, Iterable[dict]] = {
        'have an image_id that is not in the file, and are left out': (
            item for item in annotations if item['image_id'] not in sizes
        ),
        'have a category_id that is not in the file, and are left out': (
            item for item in annotations if item['category_id'] not in categories
        ),
        'have boxes of less than 1 px, and are left out': select(known, empty),
        'have boxes outside of their images, and are left out': select(known, outside),
        'have boxes that leave their images, and are clipped': select(known, leaving),
        'have polygons of less than three points or an odd number of coordinates, which are left out': (
            item for item in annotations if has_short_polygon(item.get('segmentation'))
        ),
    }
    for text, items in kinds.items():
        found = [item['id'] for item in items]
        if found:
            yield f'{len(found)} annotations {text}: {", ".join(map(str, islice(found, 5)))}' + (
                ', ...' if len(found) > 5 else ''
            )


def select(items: Sequence[dict], mask: Any) -> list[dict]:
    return [items[index] for index in np.flatnonzero(mask)]


def has_short_polygon(segmentation: Any) -> bool:
    return isinstance(segmentation, list) and any(
        len(polygon) < 6 or len(polygon) % 2 for polygon in segmentation
    )
