"""Conversion of boxes and polygons from YOLO's text files to COCO's JSON files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.progress import track

from mmcednet.files import read_names, read_text
from mmcednet.images import list_images

from .conversion import (
    AnnotatedImage,
    Conversion,
    Item,
    divide,
    find_size,
    make_box,
    make_mask,
)
from .split_names import SPLIT_NAMES

YAML_NAMES = ('data.yaml', 'data.yml', 'dataset.yaml', 'dataset.yml')
NAME_LISTS = ('classes.txt', 'obj.names', 'labels/classes.txt', 'labels/train/classes.txt')
NO_LABELS = ('classes.txt', 'README.dataset.txt', 'README.roboflow.txt')  # beside the labels
FRACTIONS = (-1.0, 2.0)  # an object may extend beyond its image; coordinates in px are far larger


@dataclass(frozen=True)
class Settings:
    """What ``data.yaml`` says.

    Attributes:
        classes: Names of the classes, by index.
        images: Split -> folders of images, and lists of images; empty if it says nothing of them.
    """

    classes: list[str]
    images: dict[str, list[Path]]


def convert_yolo(folder: Path, val_share: float = 0.2) -> Conversion:
    """Convert a folder in YOLO's layout.

    The images of the splits are where ``data.yaml`` says, otherwise in ``images/{train,val,test}/`` or
    ``{train,val,test}/images/``. Without splits, a random ``val_share`` of the images in ``images/`` or
    in the folder itself, the same in each run, becomes 'val'. The labels of an image are in the folder
    of the image with ``labels`` in place of the last ``images``, or beside the image. A line has the
    index of the class and the centre, width and height of a box, or the corners of a polygon, as
    fractions of the image's width and height. An image without a text file has no objects.

    Args:
        folder: The folder of the dataset.
        val_share: Share of the images for 'val' where there is none, in (0, 1).

    Returns:
        The annotations; the ``file_name`` of an image is relative to the folder.

    Raises:
        ValueError: The names of the classes, the images or their labels are not found, or a line is not
            of YOLO's format.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    folder = make_absolute(folder)
    settings = read_settings(find_yaml(folder), folder)
    found, notes = find_splits(folder, settings, val_share)
    images = {
        split: [read_image(path, folder, settings.classes) for path in track(paths, f'reading {split}')]
        for split, paths in found.items()
    }
    paths = [path for split in found.values() for path in split]
    labels = find_all_labels(paths)
    missing = sum(not path.is_file() for path in labels)
    if missing == len(labels):
        raise ValueError(f'no image has a text file; the first would be {find_labels(paths[0])}')
    if missing:
        notes.append(f'{missing} images have no text file, which says that they have no objects')
    notes += list_unused(labels)
    return Conversion(images, settings.classes, notes)


def find_yaml(folder: Path) -> Path | None:
    """The file with the settings of a dataset; None if there is none.

    Raises:
        ValueError: There are several, and none has one of the usual names.
    """
    found = sorted([*folder.glob('*.yaml'), *folder.glob('*.yml')])
    usual = [path for path in found if path.name in YAML_NAMES] or found
    if len(usual) > 1:
        names = ', '.join(str(path) for path in usual)
        raise ValueError(f'{folder} has several YAML files, keep one that names the classes: {names}')
    return usual[0] if usual else None


def read_settings(path: Path | None, folder: Path) -> Settings:
    """Read ``data.yaml``, or the names of the classes in ``classes.txt``.

    Args:
        path: The YAML file; None without one.
        folder: The folder of the dataset.

    Raises:
        ValueError: The YAML file is not valid, or there are no names.
    """
    content: Mapping = {}
    if path is not None:
        try:
            text = path.read_text(encoding='utf-8')
            content = yaml.safe_load(text)
            if isinstance(content, dict):  # names as they are written: not True for on, or 8 for 010
                content['names'] = yaml.load(text, yaml.BaseLoader).get('names')
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f'{path} is not valid YAML: {" ".join(str(error).split())}') from None
        if not isinstance(content, dict):
            raise ValueError(f'{path} has no settings of a dataset, such as names and train')
        if 'kpt_shape' in content:
            raise ValueError(f'{path} is of keypoints (kpt_shape), which are not converted')
    names = content.get('names') or find_names(folder)
    if not isinstance(names, (list, dict)):
        raise ValueError(f'{path}: names must be a list of the classes, not {names!r}')
    if isinstance(names, dict):
        if set(names) != set(map(str, range(len(names)))):
            raise ValueError(
                f'the names in {path} must be numbered from 0 without a gap, not {list(names)}'
            )
        names = [names[str(index)] for index in range(len(names))]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f'{path}: names must be a list of the classes, not {names!r}')
    if content.get('nc', len(names)) != len(names):
        raise ValueError(
            f'{path}: nc is {content["nc"]}, but there are {len(names)} names: correct one'
        )
    if len(set(names)) < len(names):
        raise ValueError(f'the name {max(names, key=names.count)!r} is that of two classes in {folder}')
    return Settings(names, {} if path is None else find_entries(content, path))


def find_names(folder: Path) -> list[str]:
    """Read the names of the classes, one a line."""
    for name in NAME_LISTS:
        if (folder / name).is_file():
            return read_names(folder / name)
    raise ValueError(
        f'{folder} has no names of classes: write them into {folder}/classes.txt, one a line, in the '
        f'order of their indices from 0'
    )


def find_entries(content: Mapping, path: Path) -> dict[str, list[Path]]:
    """Find the folders and lists of images that ``data.yaml`` names.

    Args:
        content: Its content.
        path: The file.

    Raises:
        ValueError: One of them does not exist.
    """
    roots = [path.parent / str(content.get('path') or ''), path.parent]
    entries: dict[str, list[Path]] = {}
    for split, aliases in SPLIT_NAMES.items():
        entry: Any = next((content[name] for name in aliases if content.get(name)), [])
        for value in entry if isinstance(entry, list) else [entry]:
            if not isinstance(value, str):
                raise ValueError(
                    f'{path}: {split} must be the path of a folder or a list, not {value!r}'
                )
            # Roboflow's paths are relative to a folder beside that of data.yaml
            candidates = [root / name for root in roots for name in (value, value.removeprefix('../'))]
            existing = [candidate for candidate in candidates if candidate.exists()]
            if len({candidate.resolve() for candidate in existing}) > 1 and value.startswith('../'):
                raise ValueError(
                    f'{path} says that images of {split!r} are in {value}, which may be '
                    f'{existing[0]} or {existing[1]}; write the path of one'
                )
            if not existing:
                raise ValueError(
                    f'{path} says that images of {split!r} are in {value}, which exists neither there '
                    f'nor in {path.parent}; correct it, or remove its train, val and test if the '
                    f'images are in images/train, images/val and images/test'
                )
            entries.setdefault(split, []).append(existing[0])
    return entries


def find_splits(
    folder: Path, settings: Settings, val_share: float
) -> tuple[dict[str, list[Path]], list[str]]:
    """Split -> images, and notes on what was divided at random."""
    places = settings.images or find_folders(folder)
    found = {
        split: sorted({image for part in parts for image in list_part(part)})
        for split, parts in places.items()
    }
    if not found:
        images = folder / 'images' if (folder / 'images').is_dir() else folder
        found = {'train': list_images(images)}
        places = {'train': [images]}
    if 'train' not in found:
        raise ValueError(f'{folder} has images of {" and ".join(found)}, but none of train')
    for split, paths in found.items():
        if not paths:
            raise ValueError(f'there are no images of {split!r} in {places[split][0]}')
    notes = []
    used = {image for paths in found.values() for image in paths}
    if loose := [image for image in list_images(folder / 'images') if image not in used]:
        notes.append(f'{len(loose)} images are left out, as they are of no split: {loose[0]}, ...')
    if 'val' not in found:
        paths = found['train']
        train, val = divide(len(paths), val_share)
        notes.append(
            f'there is no split val: {len(val)} of the {len(paths)} images, at random, are val'
        )
        found['train'], found['val'] = [paths[i] for i in train], [paths[i] for i in val]
    check_disjoint(found)
    return {split: found[split] for split in SPLIT_NAMES if split in found}, notes


def check_disjoint(splits: Mapping[str, Sequence[Path]]) -> None:
    """Check that no image is in two splits.

    Raises:
        ValueError: One is.
    """
    owners: dict[Path, str] = {}
    for split, paths in splits.items():
        for path in paths:
            if path in owners:
                raise ValueError(f'the image {path} is in both {owners[path]!r} and {split!r}')
            owners[path] = split


def find_folders(folder: Path) -> dict[str, list[Path]]:
    """Find the folders of images by their names: split -> its folder."""
    found = {}
    for split, aliases in SPLIT_NAMES.items():
        for name in aliases:
            candidates = [folder / 'images' / name, folder / name / 'images', folder / name]
            existing = [path for path in candidates if path.is_dir() and list_part(path)]
            if existing:
                found[split] = existing[:1]
                break
    return found


def list_part(part: Path) -> list[Path]:
    """List the images of a folder and the folders below it, or of a list of images."""
    if part.is_dir():
        folders = [part, *(path for path in part.rglob('*') if path.is_dir())]
        return [make_absolute(image) for folder in folders for image in list_images(folder)]
    lines = [line.strip() for line in read_text(part).splitlines() if line.strip()]
    images = [part.parent / line for line in lines]
    missing = [path for path in images if not path.is_file()]
    if missing:
        raise ValueError(f'{len(missing)} images of {part} do not exist, the first is {missing[0]}')
    return [make_absolute(path) for path in images]


def make_absolute(path: Path) -> Path:
    """Without following links: the labels are beside the folder of a link, not of what it points to."""
    return Path(os.path.abspath(path))


def find_labels(image: Path) -> Path:
    """The text file of an image, which need not exist."""
    parts = list(image.parent.parts)
    if 'images' in parts:
        last = len(parts) - 1 - parts[::-1].index('images')
        labels = Path(*parts[:last], 'labels', *parts[last + 1 :])
        if labels.is_dir():
            return labels / f'{image.stem}.txt'
    return image.with_suffix('.txt')


def find_all_labels(images: Sequence[Path]) -> set[Path]:
    """The text files of images, which need not exist.

    Raises:
        ValueError: One is that of two images.
    """
    owners: dict[Path, Path] = {}
    for image in images:
        labels = find_labels(image)
        if labels in owners:
            raise ValueError(f'{labels} would be that of both {owners[labels]} and {image}: keep one')
        owners[labels] = image
    return set(owners)


def list_unused(labels: set[Path]) -> list[str]:
    """Notes on text files beside those of the images that belong to no image."""
    notes = []
    for folder in sorted({path.parent for path in labels}):
        for path in sorted(set(folder.glob('*.txt')) - labels):
            if path.name not in NO_LABELS:
                lines = path.read_text(errors='replace').split('\n')
                number = sum(bool(line.strip()) for line in lines)
                notes.append(f'{path} is left out with its {number} lines: it has no image')
    return notes


def read_image(path: Path, folder: Path, classes: Sequence[str]) -> AnnotatedImage:
    """Read the labels of an image.

    Raises:
        ValueError: A line is not of YOLO's format, or the image cannot be read.
    """
    labels = find_labels(path)
    size = find_size(path, (0, 0), labels)
    name = path.relative_to(folder) if folder in path.parents else path
    result = AnnotatedImage(name.as_posix(), *size)
    if not labels.is_file():
        return result
    for number, line in enumerate(read_text(labels).splitlines(), 1):
        if not line.strip():
            continue
        result.found += 1
        where = f'{labels}, line {number}'
        item = read_line(line, where, size, classes)
        if item is not None:
            result.items.append(item)
        else:
            result.left_out.append(
                f'left out: {where}, as it covers nothing of the image: {line.strip()}'
            )
    return result


def read_line(line: str, where: str, size: tuple[int, int], classes: Sequence[str]) -> Item | None:
    """Read an object; None if it covers nothing of its image."""
    try:
        index, *values = (float(value) for value in line.split())
    except ValueError:
        raise ValueError(
            f'{where}: {line.strip()!r} must be numbers, of which the first is a class'
        ) from None
    if not np.isfinite([index, *values]).all():
        raise ValueError(f'{where}: {line.strip()!r} has a number that is not finite')
    if index not in range(len(classes)):
        raise ValueError(
            f'{where}: the class {index:g} is not one of the {len(classes)} that have a name, from 0 on'
        )
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ValueError(
            f'{where} has {len(values)} numbers after the class; a box has 4, a polygon an even number '
            f'from 6 on'
        )
    if min(values) < FRACTIONS[0] or max(values) > FRACTIONS[1]:
        raise ValueError(
            f"{where}: {line.strip()!r} is not in fractions of the image's width and height, from 0 to "
            f'1'
        )
    name = classes[int(index)]
    if len(values) > 4:
        points = np.reshape(values, (-1, 2)) * size
        return make_mask(name, [points.flatten().tolist()], size)
    x, y, width, height = values
    corners = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return make_box(name, (corners * (size * 2)).tolist(), size)
