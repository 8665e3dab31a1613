"""Divides a folder of label maps or of classes at random into parts for training and validation."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.progress import track

from mmcednet.data.coco_files import choose_val
from mmcednet.files import atomic_folder

from .class_folders import read_class_folders
from .label_classes import FILE_NAME
from .label_maps import LABEL_SUFFIX, pair_files
from .recognition import find_unsplit_label_maps, has_unsplit_classes

Copies = list[tuple[str, Path, str]]  # split, image or label map, path of its copy


def split_images(folder: Path, out: Path, share: float) -> Counter[str]:
    """Copy images with their label maps or classes into parts; the same ones in each run.

    ``images/IMAGE`` and ``masks/IMAGE.png``, or what else :mod:`label_maps` knows these folders by,
    become ``images/SPLIT/IMAGE`` and ``annotations/SPLIT/IMAGE.png``; ``CLASS/IMAGE`` becomes
    ``SPLIT/CLASS/IMAGE``, with the same share of each class.

    Args:
        folder: The folder, which stays as it is.
        out: Folder to write, which must not exist.
        share: Share of the images for validation, in (0, 1).

    Returns:
        Number of images of each split.

    Raises:
        ValueError: The folder has another layout, an image has no label map, no image would be left for
            training or validation, or ``out`` exists.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    label_maps = find_unsplit_label_maps(folder)
    if label_maps:
        copies = plan_label_maps(*label_maps, share)
        numbers = Counter(split for split, file, _ in copies if file.parent == label_maps[0])
    elif has_unsplit_classes(folder):
        copies = plan_classes(folder, share)
        numbers = Counter(split for split, *_ in copies)
    else:
        raise ValueError(
            f'{folder} must have images/IMAGE with masks/IMAGE{LABEL_SUFFIX}, or CLASS/IMAGE, and no '
            f'splits'
        )
    with atomic_folder(out) as temporary:
        for _, file, path in track(copies, 'copying images'):
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        if (folder / FILE_NAME).is_file():  # the names of the values in label maps
            shutil.copy2(folder / FILE_NAME, temporary)
    return numbers


def plan_label_maps(images: Path, labels: Path, share: float) -> Copies:
    pairs = pair_files(images, labels)
    files = [labels / f'{name}{LABEL_SUFFIX}' for name in pairs.names]
    copies = [(split, file, f'annotations/{split}/{file.name}') for split, file in divide(files, share)]
    split_of = {file.stem: split for split, file, _ in copies}
    return copies + [
        (split_of[file.stem], file, f'images/{split_of[file.stem]}/{file.name}') for file in pairs.files
    ]


def plan_classes(folder: Path, share: float) -> Copies:
    return [
        (split, file, f'{split}/{file.relative_to(folder).as_posix()}')
        for files in read_class_folders(folder).images.values()
        for split, file in divide(files, share)
    ]


def divide(files: list[Path], share: float) -> Iterator[tuple[str, Path]]:
    """Each file of a folder with its split.

    Raises:
        ValueError: No file would be left for training or for validation.
    """
    try:
        chosen = choose_val(len(files), share)
    except ValueError as error:
        raise ValueError(f'{files[0].parent}: {error}') from None
    return ((('val' if i in chosen else 'train'), file) for i, file in enumerate(files))
