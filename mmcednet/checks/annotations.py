"""Pre-flight check of the annotations in a file of COCO's format."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmcednet.images import ImageError, read_size
from mmcednet.wording import count

from .coco_format import CUT, find_mask_error, is_number
from .objects import Use, find_evaluation_errors, find_unusable, find_warnings

LINES = 20  # of the list of errors
HEADERS = 2000  # images whose size is read from the file
MIN_SIDE = 2  # px; numpy calls a flipped image of one row or column contiguous, which torch refuses
MAX_RATIO = 200  # of an image's sides; the recipes resize images to 100 px or more


def check_annotations(content: dict, ann_file: Path, images: Path, use: Use) -> None:
    """Check the objects and images of an annotation file.

    What mmdet would leave out, or clip, is logged as warnings: empty boxes, boxes outside of their
    images, objects without area, unknown categories or images, and polygons of less than three points.

    Args:
        content: The file's content.
        ann_file: The file, for the messages.
        images: Folder of the images.
        use: What is done with the objects.

    Raises:
        ValueError: An id or a file name is used twice, a box is not four numbers or has a negative
            size, an object has no area, a mask or an image file has another size than the image, an
            image has too many pixels or cannot be resized, or pycocotools cannot evaluate an object; a
            list of at most 20 lines. Or there is no object to train on or to evaluate.
    """
    refuse_errors(content, ann_file, images, use)
    problem = find_unusable(content, use) if use.trained or use.metrics else None
    if problem:
        raise ValueError(f'{ann_file}: {problem}')
    for warning in find_warnings(content, use):
        print_log(f'{ann_file}: {warning}', 'current', logging.WARNING)


def refuse_errors(content: dict, ann_file: Path, images: Path, use: Use) -> None:
    """Check a file for what a training would fail on, or train wrongly on.

    Raises:
        ValueError: A list of the errors.
    """
    errors = list(find_errors(content, images, use))
    if errors:
        lines = errors if len(errors) <= LINES else [*errors[: LINES - 1], '...']
        text = ''.join(f'\n  {line}' for line in lines)
        raise ValueError(f'{ann_file} has {count(len(errors), "error")}:{text}')


def find_errors(content: dict, images: Path, use: Use) -> Iterator[str]:
    """Find what a training would fail on, or train wrongly on."""
    for kind in ('images', 'annotations'):
        counts = Counter(item.get('id') for item in content[kind])
        for number, times in counts.items():
            if number is None:
                yield f'{times} {kind} have no id'
            elif times > 1:
                yield f'{kind[:-1]} {number}: {times} {kind} have this id'
    for name, times in Counter(image['file_name'] for image in content['images']).items():
        if times > 1:
            text = f'{times} images have the file_name {CUT.repr(name)}'
            yield f"{text}, each without the others' objects; write these to one image"
    by_id = {image.get('id'): image for image in content['images']}
    for image in content['images']:
        if not all(is_number(image.get(key)) and image[key] > 0 for key in ('width', 'height')):
            yield f'image {image.get("id")}: its width and height must be positive numbers'
            return  # what follows compares with them
    names = {category['id']: category['name'] for category in content['categories']}
    for item in content['annotations']:
        image = by_id.get(item.get('image_id'))
        for error in find_object_errors(item, image):
            yield f'annotation {item.get("id")}: {error}'
        if use.metrics and item.get('id') is not None:
            counted = image is not None and names.get(item.get('category_id')) in use.classes
            for error in find_evaluation_errors(item, use, counted):
                yield f'annotation {item["id"]}: {error}'
    yield from find_other_sizes(content['images'], images)


def find_object_errors(item: dict, image: dict | None) -> Iterator[str]:
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
    error = find_mask_error(item.get('segmentation'), image)
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
