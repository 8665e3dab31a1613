"""Annotations of other formats, on their way to COCO's: images, objects, and what is left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmcednet.images import IMAGE_SUFFIXES, read_size

from .coco_files import choose_val, write_splits
from .split_names import SPLIT_NAMES


@dataclass(frozen=True)
class Item:
    """An object.

    Attributes:
        name: Its class.
        box: x, y, width and height in px, within the image.
        area: Area of the box, or of the mask, in px.
        polygons: Its mask, x1, y1, x2, y2 and so on, in px; without any, it has a box only.
        crowd: Whether it is neither learned nor counted as missed.
    """

    name: str
    box: tuple[float, float, float, float]
    area: float
    polygons: tuple[list[float], ...] = ()
    crowd: bool = False


@dataclass
class AnnotatedImage:
    """An image and its objects.

    Attributes:
        file_name: Path relative to the folder of the dataset.
        width: In px, as for ``height``.
        items: The objects.
        found: Objects that the annotation file has; ``items``, ``left_out`` and ``joined`` together.
        left_out: A line for each object that is not in ``items``: which one, and why.
        joined: Objects that became parts of others.
    """

    file_name: str
    width: int
    height: int
    items: list[Item] = field(default_factory=list)
    found: int = 0
    left_out: list[str] = field(default_factory=list)
    joined: int = 0


@dataclass
class Conversion:
    """Annotations of a dataset.

    Attributes:
        images: Split -> its images.
        classes: Names of the classes.
        notes: Lines about what is not as the user may expect, such as files that are not used.
    """

    images: dict[str, list[AnnotatedImage]]
    classes: Sequence[str]
    notes: list[str]


def find_image(stem: str, folders: Sequence[Path], stated: str) -> Path:
    """Find the image of an annotation file.

    Args:
        stem: Name of the annotation file, without suffix. Its image has the same name: copied and
            renamed annotation files often state the image that they were of.
        folders: Where it may be; the first that has it is taken.
        stated: The image that the annotation file states, relative to the folders, for images of
            another name, and where several have the same.

    Raises:
        ValueError: There is none, or several in one folder that differ in their suffixes.
    """
    for folder in folders:
        found = [folder / f'{stem}{suffix}' for suffix in list_suffixes()]
        found = [path for path in found if path.is_file()]
        if len(found) > 1 and stated:
            found = [path for path in found if path == folder / stated] or found
        if len(found) > 1:
            raise ValueError(
                f'{found[0]} and {found[1]} have one annotation file, {stem}: keep one image'
            )
        if found:
            return found[0]
    for folder in folders:
        if stated and (folder / stated).is_file():
            return folder / stated
    names = ' or '.join(str(folder) for folder in folders)
    raise ValueError(f'the image {stated or stem} is not in {names}')


def list_suffixes() -> list[str]:
    """Suffixes of images in lower and in upper case."""
    return [*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)]


def find_size(image: Path, stated: tuple[int, int], source: Path) -> tuple[int, int]:
    """Width and height of an image, as it is loaded.

    Args:
        image: The image.
        stated: What the annotation file says; 0 where it says nothing.
        source: The annotation file.

    Raises:
        ValueError: The image cannot be read, or the annotation file states another size.
    """
    size = read_size(image)
    if size is None:
        raise ValueError(f'the image {image} cannot be read')
    width, height, rotated = size
    if all(stated) and stated != (width, height):
        turned = ', turned as its EXIF orientation says' if rotated else ''
        raise ValueError(
            f'{source} is of an image of {stated[0]}x{stated[1]} px, but {image} has {width}x{height}'
            f'{turned}; its boxes belong to another image, or to the image before it was resized'
        )
    return width, height


def make_box(
    name: str, corners: Sequence[float], size: tuple[int, int], crowd: bool = False
) -> Item | None:
    """An object with a box, which is cut at the border of its image.

    Args:
        name: Its class.
        corners: x1, y1, x2, y2 in px.
        size: Width and height of the image.
        crowd: Whether it is neither learned nor counted as missed.

    Returns:
        The object; None if the box has no area within the image, or a coordinate is not a number.
    """
    x1, y1, x2, y2 = np.clip(corners, 0, size * 2).tolist()
    if not (x2 > x1 and y2 > y1):
        return None
    return Item(name, (x1, y1, x2 - x1, y2 - y1), (x2 - x1) * (y2 - y1), crowd=crowd)


def make_mask(name: str, polygons: Sequence[list[float]], size: tuple[int, int]) -> Item | None:
    """An object with a mask; its box is that of the polygons, cut at the border of its image.

    Args:
        name: Its class.
        polygons: x1, y1, x2, y2 and so on, in px.
        size: Width and height of the image.

    Returns:
        The object, whose area is the number of its pixels; None if it covers none of the image.
    """
    from pycocotools import mask

    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    item = make_box(name, [*points.min(0), *points.max(0)], size)
    if item is None:
        return None
    area = mask.area(mask.merge(mask.frPyObjects(list(polygons), size[1], size[0])))
    return replace(item, area=float(area), polygons=tuple(polygons)) if area else None


def divide(number: int, val_share: float) -> tuple[list[int], list[int]]:
    """Indices of the training and of the validation images, at random, the same in each run."""
    chosen = choose_val(number, val_share)
    return [index for index in range(number) if index not in chosen], sorted(chosen)


def split_files(
    files: Sequence[Path], folder: Path, val_share: float
) -> tuple[dict[str, list[Path]], list[str]]:
    """Split annotation files by their folders, or at random.

    Args:
        files: The annotation files, one per image.
        folder: The folder of the dataset.
        val_share: Share of the images of 'train', or of all, that become 'val' if there is none.

    Returns:
        Split -> files, and notes on what was divided at random.

    Raises:
        ValueError: Some files are in folders with the names of splits and others are not, or none are
            of 'train'.
    """
    found: dict[str | None, list[Path]] = {}
    for path in files:
        found.setdefault(find_split(path, folder), []).append(path)
    alone = found.pop(None, [])
    if alone and found:
        raise ValueError(
            f'{len(alone)} annotation files are in no folder of a split, such as train, though others '
            f'are; the first is {alone[0]}'
        )
    splits = {split: found[split] for split in SPLIT_NAMES if split in found} or {'train': alone}
    if 'train' not in splits:
        raise ValueError(f'{folder} has files of {" and ".join(splits)}, but none of train')
    if 'val' in splits:
        return splits, []
    paths = splits['train']
    train, val = divide(len(paths), val_share)
    divided = {'train': [paths[i] for i in train], 'val': [paths[i] for i in val]}
    note = f'there is no folder val: {len(val)} of the {len(paths)} images, at random, are val'
    return divided | {split: splits[split] for split in ('test',) if split in splits}, [note]


def find_split(path: Path, folder: Path) -> str | None:
    """Split whose name a folder of a path has, the innermost first; None if there is none."""
    for part in reversed(path.relative_to(folder).parts[:-1]):
        for split, names in SPLIT_NAMES.items():
            if part.lower() in names:
                return split
    return None


def build_coco(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> dict:
    """Number images, objects and classes from 1 and put them together in COCO's format."""
    numbers = {name: index for index, name in enumerate(classes, 1)}
    entries: list[dict] = []
    annotations: list[dict] = []
    for index, image in enumerate(images, 1):
        size = dict(width=image.width, height=image.height)
        entries.append(dict(file_name=image.file_name, **size, id=index))
        for item in image.items:
            entry = dict(
                id=len(annotations) + 1,
                image_id=index,
                category_id=numbers[item.name],
                bbox=list(item.box),
                area=item.area,
                iscrowd=int(item.crowd),
            )
            if item.polygons:
                entry['segmentation'] = list(item.polygons)
            annotations.append(entry)
    # mmdet's coco_error_analysis.py needs a supercategory
    categories = [dict(id=number, name=name, supercategory='none') for name, number in numbers.items()]
    return dict(images=entries, annotations=annotations, categories=categories)


def write_conversion(conversion: Conversion, folder: Path) -> None:
    """Write COCO's files, ``SPLIT.json``, and print what was read, written and left out, and why.

    Raises:
        ValueError: A file exists, there are no objects, or two annotation files are of one image.
    """
    images = [image for split in conversion.images.values() for image in split]
    for name, number in Counter(image.file_name for image in images).most_common(1):
        if number > 1:
            raise ValueError(f'{number} annotation files are of the image {folder / name}; keep one')
    for line in [*conversion.notes, *(line for image in images for line in image.left_out)]:
        print(line)
    written = sum(len(image.items) for image in images)
    if not written:
        raise ValueError('no object is left, so that nothing is written')
    write_splits(
        {split: build_coco(part, conversion.classes) for split, part in conversion.images.items()},
        folder,
    )
    found = sum(image.found for image in images)
    left_out = sum(len(image.left_out) for image in images)
    joined = sum(image.joined for image in images)
    parts = f', {joined} joined to others as their parts' if joined else ''
    print(f'{found} objects read: {written} written{parts}, {left_out} left out')
