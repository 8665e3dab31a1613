"""Conversion of box annotations from Pascal VOC's XML files to COCO's JSON files.

mmdet's converter knows the 20 classes of Pascal VOC and JPEG images only; this one takes any classes.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from rich.progress import track

from mmcednet.files import read_text

from .conversion import (
    AnnotatedImage,
    Conversion,
    divide,
    find_image,
    find_size,
    make_box,
    split_files,
)
from .split_names import SPLIT_NAMES

LIST_FOLDERS = ('ImageSets/Main', 'ImageSets')
LIST_NAMES = SPLIT_NAMES | {'trainval': ('trainval',)}
IMAGE_FOLDERS = ('JPEGImages', 'images', '.')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def convert_voc(folder: Path, val_share: float = 0.2) -> Conversion:
    """Convert a folder in Pascal VOC's layout.

    The splits are the lists in ``ImageSets/Main/``, or the folders of the XML files ('train', 'val' or
    'valid', 'test'). Where there is none for 'val', a random ``val_share`` of the images of 'train' or
    'trainval', or of all, the same in each run, becomes 'val'.
    Boxes are converted as mmdet reads them, 1 is subtracted from each coordinate, and cut at the
    image's border. Difficult objects become crowds, which are neither learned nor counted as missed.
    Sizes of images are those of the files.

    Args:
        folder: Contains ``Annotations/`` with XML files, or the XML files themselves, and the images,
            in ``JPEGImages/`` or ``images/`` or beside the XML files; names in lower case are the same.
        val_share: Share of the images for 'val' where there is no list, in (0, 1).

    Returns:
        The annotations; the ``file_name`` of an image is relative to ``folder``.

    Raises:
        ValueError: There are no XML files, or one of them is not valid or of another image, or an image
            does not exist, or the lists are none that can be used.
    """
    annotations = find_folder(folder, 'Annotations')
    if next(annotations.rglob('*.xml'), None) is None:
        annotations = folder
    image_folders = [find_folder(folder, name) for name in IMAGE_FOLDERS]
    splits, notes = find_splits(folder, annotations, val_share)
    names = [name for split in splits.values() for name in split]
    parsed = {
        name: parse_annotation(annotations / f'{name}.xml', folder, image_folders)
        for name in track(names, 'reading')
    }
    classes = sorted({item.name for image in parsed.values() for item in image.items})
    if not classes:
        raise ValueError(f'the XML files in {annotations} have no objects')
    images = {split: [parsed[name] for name in names] for split, names in splits.items()}
    return Conversion(images, classes, notes)


def find_folder(folder: Path, name: str) -> Path:
    """A folder below another one, in upper or lower case; as it is named if there is none."""
    for part in Path(name).parts:
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        alike = [path for path in inside if path.name.lower() == part.lower() and path.is_dir()]
        folder = folder / part if folder / part in alike or not alike else alike[0]
    return folder


def find_splits(
    folder: Path, annotations: Path, val_share: float
) -> tuple[dict[str, list[str]], list[str]]:
    """Split -> names of its annotation files, without suffix; and notes on lists that are not used."""
    files = sorted(annotations.rglob('*.xml'))
    if not files:
        raise ValueError(f'{annotations} has no XML files')

    def get_name(path: Path) -> str:
        return path.relative_to(annotations).with_suffix('').as_posix()

    lists, notes = read_lists(folder, annotations)
    if not lists:
        by_folder, notes = split_files(files, annotations, val_share)
        return {split: [get_name(path) for path in paths] for split, paths in by_folder.items()}, notes
    splits, more = choose_lists(lists, folder, val_share)
    check_lists(splits)
    used = {name for split in splits.values() for name in split}
    unused = [path for path in files if get_name(path) not in used]
    if unused:
        more.append(
            f'{len(unused)} XML files are in no list that is used, so that they are left out; the '
            f'first is {unused[0]}'
        )
    return splits, notes + more


def choose_lists(
    lists: dict[str, list[str]], folder: Path, val_share: float
) -> tuple[dict[str, list[str]], list[str]]:
    """Choose the splits from lists, of which one may be 'trainval'; and notes on a random choice."""
    base = 'train' if 'train' in lists else 'trainval'
    if base not in lists:
        raise ValueError(
            f'{folder}/ImageSets has lists for {" and ".join(lists)}, but neither train.txt nor '
            f'trainval.txt'
        )
    names, notes = lists[base], []
    if 'val' in lists:
        val = lists['val']
        known = set(val)
        train = [name for name in names if name not in known] if base == 'trainval' else names
    else:
        train_indices, val_indices = divide(len(names), val_share)
        train, val = [names[i] for i in train_indices], [names[i] for i in val_indices]
        notes.append(f'there is no list val.txt: {len(val)} images of {base}.txt, at random, are val')
    test = {'test': lists['test']} if 'test' in lists else {}
    return {'train': train, 'val': val} | test, notes


def check_lists(splits: dict[str, list[str]]) -> None:
    """Check that no image is twice in the lists.

    Raises:
        ValueError: One is.
    """
    for split, names in splits.items():
        if not names:
            raise ValueError(f'the list of the split {split!r} has no names')
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f'{twice} is twice in the list of the split {split!r}')
    for one, other in combinations(splits, 2):
        both = sorted(set(splits[one]) & set(splits[other]))
        if both:
            raise ValueError(
                f'{len(both)} images are in the lists of both {one!r} and {other!r}, the first is '
                f'{both[0]}'
            )


def read_lists(folder: Path, annotations: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Read the lists of images: split or 'trainval' -> names, and notes on the lists that are not used.

    Raises:
        ValueError: There are lists, but none with a name that says what it is.
    """
    found: dict[str, list[str]] = {}
    others = []
    for place in LIST_FOLDERS:
        paths = sorted(find_folder(folder, place).glob('*.txt'))
        for path in paths:
            split = next((key for key, names in LIST_NAMES.items() if path.stem in names), None)
            lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
            if split is not None and split in found:
                raise ValueError(f'{folder / place} has two lists for {split!r}, keep one')
            if split is not None:
                found[split] = [find_name(line, annotations) for line in lines]
            elif not is_list_of_class(lines):
                others.append(str(path.relative_to(folder)))
        if paths:
            break
    if others and not found:
        raise ValueError(
            f'{folder} has the lists {", ".join(others)}, whose names say no split; name them '
            f'train.txt, val.txt, test.txt or, to be divided at random into train and val, trainval.txt'
        )
    return found, [f'the list {name} is not used: its name says no split' for name in others]


def find_name(line: str, annotations: Path) -> str:
    """Name of an annotation file in a line of a list; Pascal VOC's may have a number after it."""
    return line if (annotations / f'{line}.xml').is_file() else line.split()[0]


def is_list_of_class(lines: Sequence[str]) -> bool:
    """Whether a list says which images have a class, as ``cat_train.txt``: a name and -1, 0 or 1."""
    return all(line.split()[1:] in (['-1'], ['0'], ['1']) for line in lines)


def parse_annotation(path: Path, folder: Path, image_folders: Sequence[Path]) -> AnnotatedImage:
    """Parse an XML file."""
    try:
        root = ET.parse(path).getroot()
        stated = [root.findtext(f'size/{key}', '').strip() for key in ('width', 'height')]
        width, height = (int(float(value or 0)) for value in stated)
        entries = [(item, read_corners(item)) for item in root.iter('object')]
    except FileNotFoundError:
        raise ValueError(f'the annotation file {path} does not exist') from None
    except (ET.ParseError, ValueError, OverflowError) as error:
        raise ValueError(f'{path} is not an annotation file of Pascal VOC: {error}') from None
    image = find_image(path.stem, [path.parent, *image_folders], root.findtext('filename', '').strip())
    size = find_size(image, (width, height), path)
    result = AnnotatedImage(image.relative_to(folder).as_posix(), *size, found=len(entries))
    for number, (entry, corners) in enumerate(entries, 1):
        name = entry.findtext('name', '').strip()
        crowd = entry.findtext('difficult', '').strip() == '1'
        item = corners and make_box(name, [value - 1 for value in corners], size, crowd)
        if name and item:
            result.items.append(item)
            continue
        reason = 'it has no class' if corners else 'it has no box'
        if name and corners:
            box = ', '.join(f'{value:g}' for value in corners)
            reason = f'its box ({box}) has no area within the image of {size[0]}x{size[1]} px'
        result.left_out.append(f'left out of {path}: object {number} ({name}), as {reason}')
    return result


def read_corners(entry: ET.Element) -> list[float] | None:
    """The corners of an object's box, from 1; None if it has no box."""
    if entry.find('bndbox') is None:
        return None
    return [float(entry.findtext(f'bndbox/{key}', '')) for key in CORNERS]
