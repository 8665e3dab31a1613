"""Annotation files in COCO's format: split at random, and written."""

import json
from pathlib import Path

import numpy as np

from mmcednet.files import atomic_write
from mmcednet.wording import count

from .split_names import get_split


def choose_val(number: int, share: float) -> set[int]:
    """Choose which of ``number`` images become the validation images, the same in each run.

    Raises:
        ValueError: No image would be left for training or for validation.
    """
    chosen = round(number * share)
    if not 0 < chosen < number:
        raise ValueError(
            f'a share of {share} of {number} images leaves none for training or for validation'
        )
    return set(np.random.RandomState(0).permutation(number)[:chosen].tolist())


def split_coco(content: dict, val_share: float) -> dict[str, dict]:
    """Split COCO annotations at random into 'train' and 'val', the same in each run.

    Args:
        content: COCO annotations.
        val_share: Share of the images for 'val', in (0, 1).

    Raises:
        ValueError: No image would be left for training or for validation, or an image has no id or an
            annotation no image_id.
    """
    check_ids(content)
    content = fill_supercategories(content)
    chosen = choose_val(len(content['images']), val_share)
    result = {}
    for split, inside in (('train', False), ('val', True)):
        images = [image for index, image in enumerate(content['images']) if (index in chosen) == inside]
        ids = {image['id'] for image in images}
        objects = [item for item in content.get('annotations', []) if item['image_id'] in ids]
        result[split] = dict(content, images=images, annotations=objects)
    return result


def check_ids(content: dict) -> None:
    """Check that images and annotations say which belong together.

    Raises:
        ValueError: An image has no id, or an annotation no image_id.
    """
    for image in content['images']:
        if 'id' not in image:
            raise ValueError(f'the image {image["file_name"]} has no id; give each one of its own')
    for item in content.get('annotations', ()):
        if 'image_id' not in item:
            raise ValueError(f'annotation {item.get("id")} has no image_id, the id of its image')


def fill_supercategories(content: dict) -> dict:
    """Give each category a ``supercategory``, which mmdet's error analysis needs."""
    categories = [{'supercategory': 'none', **category} for category in content['categories']]
    return dict(content, categories=categories)


def check_unsplit(path: Path) -> None:
    """Check that the name of a file to split is not that of a part of a data set.

    Trainings would take it beside the parts, or instead of one.

    Raises:
        ValueError: It is.
    """
    if split := get_split(path, path.parent):
        raise ValueError(
            f'{path} has the name of a part, {split}, and would be used beside the parts; if it has '
            f'all images, move it to {path.with_name("all.json")} and split that'
        )


def write_splits(splits: dict[str, dict], folder: Path) -> None:
    """Write ``SPLIT.json`` for each split, none of which may exist, and print what is in them.

    Raises:
        ValueError: A file exists.
    """
    paths = {split: folder / f'{split}.json' for split in splits}
    for path in paths.values():
        if path.exists():
            raise ValueError(f'{path} exists already; remove it, or move it to another folder')
    for split, path in paths.items():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(splits[split]))
        images, objects = len(splits[split]['images']), len(splits[split]['annotations'])
        print(f'{path}: {count(images, "image")}, {count(objects, "object")}')
