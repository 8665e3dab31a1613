"""Recognises what a folder of images is annotated for: detection, segmentation or classification."""

from pathlib import Path

from .choices import Choice
from .class_folders import find_class_folders
from .label_maps import IMAGE_FOLDERS, LABEL_FOLDERS, has_label_maps
from .other_formats import get_split, list_files


def recognise_scope(folder: Path) -> Choice[str]:
    """Recognise the toolbox for a dataset: 'mmdet', 'mmseg' or 'mmpretrain'.

    Annotation files in COCO's format are for mmdet, also where there are label maps; and so is what is
    to be converted to them.

    Raises:
        ValueError: The folder does not exist.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    if any(get_split(path, folder) for path in list_files(folder, '.json')):
        return Choice('mmdet', 'there are JSON files of splits')
    if has_label_maps(folder):
        return Choice('mmseg', 'there are label maps')
    try:
        classes = {name.lower() for name in find_class_folders(folder)['train'].images}
    except ValueError:
        return Choice('mmdet', 'there are neither label maps nor folders of classes')
    if classes & {*IMAGE_FOLDERS, *LABEL_FOLDERS}:
        return Choice('mmdet', 'there are folders of images')
    return Choice('mmpretrain', 'there is a folder of images per class')
