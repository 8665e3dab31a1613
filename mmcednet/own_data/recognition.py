"""Recognises what a folder of images is annotated for: detection, segmentation or classification."""

import re
import shlex
from pathlib import Path

from mmcednet.data.split_names import SPLIT_NAMES, get_split
from mmcednet.images import has_image_suffix, list_images

from .choices import Choice
from .class_folders import find_class_folders
from .label_maps import IMAGE_FOLDERS, LABEL_FOLDERS, LABEL_SUFFIX, has_label_maps
from .other_formats import list_files, recognise_format, recognise_json

NO_CLASSES = {*IMAGE_FOLDERS, *LABEL_FOLDERS}
SPLIT_FOLDERS = {word for words in SPLIT_NAMES.values() for word in words}
SPLIT_WORD = re.compile(rf'({"|".join(SPLIT_FOLDERS)})(?![a-z])')


def recognise_scope(folder: Path) -> Choice[str]:
    """Recognise the toolbox for a dataset: 'mmdet', 'mmseg' or 'mmpretrain'.

    Annotation files in COCO's format are for mmdet, also where there are label maps; and so is what is
    to be converted to them.

    Raises:
        ValueError: The folder does not exist, or its label maps or classes are to be divided first.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    files = [path for path in list_files(folder, '.json') if get_split(path, folder)]
    if not all(is_of_a_class(path, folder) for path in files):
        return Choice('mmdet', 'there are JSON files of splits')
    if has_label_maps(folder):
        return Choice('mmseg', 'there are label maps')
    if find_unsplit_label_maps(folder) or has_unsplit_classes(folder):
        path = folder.resolve()
        out = path.with_name(f'{path.name}_split')
        raise ValueError(
            f'{folder} has no images for validation; choose some with '
            f'mmcednet split-images {shlex.quote(str(path))} -o {shlex.quote(str(out))}'
        )
    if has_class_folders(folder):
        return Choice('mmpretrain', 'there is a folder of images per class')
    return Choice('mmdet', 'there are neither label maps nor folders of classes')


def is_of_a_class(path: Path, folder: Path) -> bool:
    """Whether a JSON file lies in the folder of a class and has no annotations."""
    parts = [part.lower() for part in path.relative_to(folder).parts]
    inside = len(parts) == 3 and parts[0] in SPLIT_FOLDERS and parts[1] not in NO_CLASSES
    return inside and recognise_json(path, folder) is None


def has_class_folders(folder: Path) -> bool:
    """Whether there are folders of classes, even if something about them is wrong."""
    try:
        names = find_class_folders(folder)['train'].images
    except ValueError:
        return recognise_format(folder) is None and resembles_class_folders(folder)
    return NO_CLASSES.isdisjoint(name.lower() for name in names)


def find_unsplit_label_maps(folder: Path) -> tuple[Path, Path] | None:
    """Find the folders of images and of label maps that are not divided into splits, if there are."""
    images = next((folder / name for name in IMAGE_FOLDERS[:2] if list_images(folder / name)), None)
    labels = (folder / name for name in LABEL_FOLDERS)
    found = next((path for path in labels if any(path.glob(f'*{LABEL_SUFFIX}'))), None)
    return (images, found) if images and found and recognise_format(folder) is None else None


def has_unsplit_classes(folder: Path) -> bool:
    """Whether there are several folders of images, not of several splits, and no annotations.

    A class may be called 'train' or 'valve'.
    """
    if resembles_class_folders(folder):
        return False
    classes = [path.name.lower() for path in folder.iterdir() if may_be_class(path)]
    splits = {match[1] for match in map(SPLIT_WORD.match, classes) if match}
    return len(classes) > 1 and len(splits) < 2 and recognise_format(folder) is None


def resembles_class_folders(folder: Path) -> bool:
    """Whether a split has folders of images, even if its name is not in lower case."""
    folders = [path for path in folder.iterdir() if path.is_dir()]
    return any(path.name.lower() in SPLIT_FOLDERS and has_classes(path) for path in folders)


def has_classes(folder: Path) -> bool:
    return any(map(may_be_class, folder.iterdir()))


def may_be_class(path: Path) -> bool:
    """Whether a path is a folder that has images, and not the name of one for all images or labels."""
    if not path.is_dir() or path.name.lower() in NO_CLASSES:
        return False
    return any(map(has_image_suffix, path.iterdir()))
