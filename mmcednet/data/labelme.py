"""Conversion of polygons and rectangles from LabelMe's JSON files, one per image, to COCO's."""

import json
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from mmcednet.images import list_images

from .conversion import (
    AnnotatedImage,
    Conversion,
    Item,
    find_image,
    find_size,
    make_box,
    make_mask,
    split_files,
)

NO_CLASSES = ('__ignore__', '_background_')  # LabelMe's names for what is no object
KINDS = ('polygon', 'rectangle')


class Shape(NamedTuple):
    """A shape of LabelMe.

    Attributes:
        number: Its number in the file, from 1.
        name: Its class.
        kind: What it is; of ``KINDS``, or another one.
        points: Points (n, 2), x and y in px; opposite corners of a rectangle.
        group: Shapes of the same class and group are parts of one object; None: it is one itself.
    """

    number: int
    name: str
    kind: str
    points: np.ndarray
    group: str | None


def convert_labelme(folder: Path, val_share: float = 0.2) -> Conversion:
    """Convert LabelMe's JSON files in a folder and the folders below it.

    The split of a file is in the name of its folder ('train', 'val' or 'valid', 'test'). Without
    splits, a random ``val_share`` of the files, the same in each run, becomes 'val'. Polygons become
    objects with masks, rectangles objects with boxes; other shapes are left out. Shapes of the same
    class and group are parts of one object.

    Args:
        folder: The folder.
        val_share: Share of the images for 'val' where there is none, in (0, 1).

    Returns:
        The annotations; the ``file_name`` of an image is relative to ``folder``.

    Raises:
        ValueError: There are no such files, or one of them is not valid or of another image, or an
            image does not exist, or some files are in no split.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    folder = Path(os.path.abspath(folder))
    files = {
        path: content for path in sorted(folder.rglob('*.json')) if (content := read_labelme(path))
    }
    if not files:
        raise ValueError(f'{folder} has no JSON files of LabelMe')
    parsed = {path: parse(path, files[path], folder) for path in track(files, 'reading')}
    classes = sorted({item.name for image in parsed.values() for item in image.items})
    if not classes:
        raise ValueError(f'the JSON files in {folder} have no polygons and no rectangles')
    splits, notes = split_files(list(files), folder, val_share)
    images = {split: [parsed[path] for path in paths] for split, paths in splits.items()}
    return Conversion(images, classes, notes + list_notes(list(files), folder, images))


def read_labelme(path: Path) -> dict | None:
    """Read a JSON file of LabelMe; None if it is of another format.

    Raises:
        ValueError: It is not valid JSON.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from None
    is_labelme = isinstance(content, dict) and isinstance(content.get('shapes'), list)
    return content if is_labelme and 'imagePath' in content else None


def list_notes(
    files: Sequence[Path], folder: Path, images: dict[str, list[AnnotatedImage]]
) -> list[str]:
    """Notes on images without a file, and on objects without a mask beside some with one."""
    notes = []
    used = {folder / image.file_name for split in images.values() for image in split}
    beside = {path.parent for path in [*files, *used]}
    unused = sorted(path for place in beside for path in list_images(place) if path not in used)
    if unused:
        notes.append(
            f'{len(unused)} images have no JSON file, so that they are left out; the first is '
            f'{unused[0]}'
        )
    items = [item for split in images.values() for image in split for item in image.items]
    boxes = sum(not item.polygons for item in items)
    if 0 < boxes < len(items):
        notes.append(f'{boxes} of {len(items)} objects are rectangles, which have no masks')
    return notes


def parse(path: Path, content: dict, folder: Path) -> AnnotatedImage:
    """Convert the shapes of an image.

    Args:
        path: Its JSON file.
        content: The content.
        folder: The folder of the dataset.
    """
    stated = [content.get(key) or 0 for key in ('imageWidth', 'imageHeight')]
    if not all(type(value) is int for value in stated):
        raise ValueError(f'{path} states an image of the size {stated}, which must be two integers')
    image = find_labelled_image(path, str(content['imagePath']))
    size = find_size(image, (stated[0], stated[1]), path)
    name = image.relative_to(folder) if folder in image.parents else image.absolute()
    result = AnnotatedImage(name.as_posix(), *size, found=len(content['shapes']))
    groups: dict[tuple, list[Shape]] = {}
    for number, entry in enumerate(content['shapes'], 1):
        shape = read_shape(entry, number, path)
        reason = find_reason(shape)
        if reason:
            result.left_out.append(describe(path, shape, reason))
        else:
            key = (number,) if shape.group is None else (shape.name, shape.group)
            groups.setdefault(key, []).append(shape)
    for shapes in groups.values():
        item = join(shapes, size)
        if item is None:
            reason = 'it covers nothing of the image'
            result.left_out += [describe(path, shape, reason) for shape in shapes]
        else:
            result.items.append(item)
            result.joined += len(shapes) - 1
    return result


def find_labelled_image(path: Path, stated: str) -> Path:
    """Find the image of a JSON file, which states its path, on Windows with backslashes."""
    name = PureWindowsPath(stated).as_posix()
    places = dict.fromkeys([path.parent, Path(os.path.normpath(path.parent / name)).parent])
    return find_image(path.stem, list(places), Path(name).name)


def read_shape(entry: Any, number: int, path: Path) -> Shape:
    """Read a shape, the ``number``-th of a file.

    Raises:
        ValueError: It has no points, or they are not numbers.
    """
    try:
        points = np.array(entry['points'], float).reshape(-1, 2)
        finite = bool(np.isfinite(points).all())
    except (KeyError, TypeError, ValueError):
        finite = False
    if not finite:
        raise ValueError(f'{path}: shape {number} must have points, each of two numbers')
    group = entry.get('group_id')
    return Shape(
        number,
        str(entry.get('label') or ''),
        entry.get('shape_type') or KINDS[0],  # old files have polygons only, and do not say so
        points,
        None if group is None else str(group),
    )


def find_reason(shape: Shape) -> str | None:
    """Why a shape is left out; None if it is not."""
    if shape.kind not in KINDS:
        return f'it is a {shape.kind}, not a polygon or a rectangle'
    if not shape.name:
        return 'it has no label'
    if shape.name in NO_CLASSES:
        return 'this is not the name of a class'
    minimum = 3 if shape.kind == 'polygon' else 2
    if len(shape.points) < minimum:
        return f'a {shape.kind} has {minimum} points, not {len(shape.points)}'
    return None


def describe(path: Path, shape: Shape, reason: str) -> str:
    return f'left out of {path}: shape {shape.number} ({shape.name}), as {reason}'


def join(shapes: Sequence[Shape], size: tuple[int, int]) -> Item | None:
    """Join the shapes of an object, which has a mask if all of them are polygons.

    Args:
        shapes: The shapes.
        size: Width and height of the image.

    Returns:
        The object; None if it covers nothing of the image.
    """
    name = shapes[0].name
    if all(shape.kind == 'polygon' for shape in shapes):
        return make_mask(name, [shape.points.flatten().tolist() for shape in shapes], size)
    points = np.concatenate([shape.points for shape in shapes])
    return make_box(name, [*points.min(0), *points.max(0)], size)
