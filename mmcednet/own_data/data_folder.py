"""Looks at a folder of images and annotations: its splits, classes, and sizes of objects."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from mmcednet.checks.coco_format import check_format, read_json
from mmcednet.checks.data import describe_missing, find_missing_files
from mmcednet.data.split_names import SPLIT_NAMES, get_split

from .other_formats import DEPTH, list_files, name_command


@dataclass(frozen=True)
class Split:
    """A split in COCO's format.

    Attributes:
        ann_file: Annotation file.
        images: Folder that its ``file_name`` entries are relative to.
        content: The annotation file's content.
    """

    ann_file: Path
    images: Path
    content: dict


@dataclass(frozen=True, eq=False)
class Measurements:
    """What matters about the training images for the choice of a config.

    Attributes:
        num_images: Number of images.
        num_objects: Number of objects that are not crowds.
        classes: Names of the classes.
        image_size: Median width and height in px.
        boxes: Width and height in px of each object that is not a crowd (objects, 2).
        images: Width and height in px of the image of each of them (objects, 2).
        aspect_ratios: Height / width of the boxes at percentiles 10 and 90.
        has_masks: Whether all objects have masks.
    """

    num_images: int
    num_objects: int
    classes: tuple[str, ...]
    image_size: tuple[int, int]
    boxes: np.ndarray
    images: np.ndarray
    aspect_ratios: tuple[float, float]
    has_masks: bool

    def find_object_sizes(self, scale: tuple[int, int]) -> tuple[float, float, float]:
        """Square roots of the boxes' areas in px, at percentiles 5, 50 and 95, in resized images.

        Args:
            scale: Width and height in px that each image is resized to, keeping its ratio, as mmdet's
                ``Resize`` does: its longer side fits the longer one of these, the shorter the shorter.
        """
        sides = np.sort(self.images, axis=1)
        factors = (np.sort(scale) / sides).min(1)
        small, median, large = np.percentile(np.sqrt(self.boxes.prod(1)) * factors, (5, 50, 95))
        return float(small), float(median), float(large)


def find_splits(folder: Path) -> dict[str, Split]:
    """Find the annotation files in COCO's format and their images.

    An annotation file belongs to the split, 'train', 'val' or 'test', whose name is in its path within
    the folder ('valid' is 'val'). Of several, the one that starts with ``instances`` is taken, as in
    COCO.

    Args:
        folder: Folder of the dataset.

    Returns:
        Split -> annotation file and images; 'train' and 'val' are always there, in this order.

    Raises:
        ValueError: There is no such folder, no annotation file of a split or more than one, one is not
            of COCO's format or of a test split without objects, or images do not exist.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    found: dict[str, dict[Path, dict]] = {split: {} for split in SPLIT_NAMES}
    files = [path for path in list_files(folder, '.json') if get_split(path, folder)]
    for path in track(files, 'reading annotations'):
        content = read_json(path)
        if is_detection(content):
            check_format(content, path)
            found[str(get_split(path, folder))][path] = content
    splits = {}
    for split, contents in found.items():
        if not contents and split == 'test':
            continue
        path = choose_file(folder, split, list(contents))
        if split == 'test' and not contents[path]['annotations']:
            raise ValueError(
                f'the annotation file {path} of the test split has no annotations; remove it, or '
                f'rename it to {path.name}.unused'
            )
        splits[split] = Split(path, find_images(folder, split, path, contents[path]), contents[path])
    return splits


def is_detection(content: Any) -> bool:
    """Whether a file's content has images and boxes in COCO's format, and not captions, for example."""
    if not isinstance(content, dict) or not {'images', 'annotations', 'categories'} <= set(content):
        return False
    items = content['annotations']
    return isinstance(items, list) and all(isinstance(item, dict) and 'bbox' in item for item in items)


def choose_file(folder: Path, split: str, paths: list[Path]) -> Path:
    """Choose the annotation file of a split."""
    if not paths:
        raise ValueError(
            f'{folder} has no annotation file in COCO format with {split!r} in its name or folder; '
            f'{name_command(folder)}'
        )
    preferred = [path for path in paths if path.name.startswith('instances')] or paths
    if len(preferred) > 1:
        names = ', '.join(str(path) for path in preferred)
        raise ValueError(f'{folder} has several annotation files for {split!r}, keep one: {names}')
    return preferred[0]


def find_images(folder: Path, split: str, ann_file: Path, content: dict) -> Path:
    """Find the folder that the images of a split's annotation file are relative to."""
    if not content['images']:
        raise ValueError(f'the annotation file {ann_file} has no images')
    names = [image['file_name'] for image in content['images']]
    folders = [folder, ann_file.parent]
    folders += [path for depth in range(1, DEPTH + 1) for path in sorted(folder.glob('*/' * depth))]
    # other splits may have images of the same names
    folders.sort(key=lambda path: path != folder and get_split(path, folder) != split)
    candidates = [path for path in folders if (path / names[0]).is_file()]
    if not candidates:
        raise ValueError(f'the image {names[0]} of {ann_file} is in none of the folders of {folder}')
    missing = {path: find_missing_files(path / name for name in names) for path in candidates}
    best = min(candidates, key=lambda path: len(missing[path]))
    if missing[best]:
        raise ValueError(describe_missing(missing[best], ann_file))
    return best


def measure(split: Split) -> Measurements:
    """Measure the training images and their objects.

    Raises:
        ValueError: There are no objects, or categories or images are not as COCO's format wants them.
    """
    content, path = split.content, split.ann_file
    sizes = {image.get('id'): (image.get('width'), image.get('height')) for image in content['images']}
    objects = [item for item in list_objects(content) if item.get('image_id') in sizes]
    if not objects:
        raise ValueError(f'the annotation file {path} has no annotations')
    names = {category['id']: category['name'] for category in content['categories']}
    used = {item['category_id'] for item in objects}
    if not used <= set(names):
        raise ValueError(
            f'{path} has objects of category {min(used - set(names))}, which it does not list'
        )
    if not all(width and height for width, height in sizes.values()):
        raise ValueError(f'{path} has an image without width or height')
    boxes = np.array([item['bbox'][2:] for item in objects], float).clip(1)
    return Measurements(
        num_images=len(content['images']),
        num_objects=len(objects),
        # a category without objects, such as the supercategory that some exports list, is no class
        classes=tuple(name for key, name in names.items() if key in used),
        image_size=tuple(np.median(list(sizes.values()), 0).round().astype(int).tolist()),
        boxes=boxes,
        images=np.array([sizes[item['image_id']] for item in objects], float),
        aspect_ratios=tuple(np.percentile(boxes[:, 1] / boxes[:, 0], (10, 90)).tolist()),
        has_masks=all(item.get('segmentation') for item in objects),
    )


def list_objects(content: dict) -> list[dict]:
    """The annotations that are not crowds."""
    return [item for item in content['annotations'] if not item.get('iscrowd')]


def find_untrained(splits: Mapping[str, Split], classes: Collection[str]) -> dict[str, str]:
    """Classes that the training does not have, although other splits have objects of them.

    Args:
        splits: Split -> annotations.
        classes: Names of the classes that the training has.

    Returns:
        Name of such a class -> which files have how many objects of it.
    """
    found: dict[str, list[str]] = {}
    for split in splits.values():
        names = {category['id']: category['name'] for category in split.content['categories']}
        counts = Counter(names.get(item.get('category_id')) for item in list_objects(split.content))
        for name, count in counts.items():
            if name is not None and name not in classes:
                found.setdefault(name, []).append(f'{count} in {split.ann_file}')
    return {name: ', '.join(places) for name, places in found.items()}
