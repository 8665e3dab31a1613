"""Conversion of box annotations from Pascal VOC's XML files to COCO's JSON files.

mmdet's converter knows the 20 classes of Pascal VOC and JPEG images only; this one takes any classes.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from rich.progress import track

from .coco_files import choose_val

SPLITS = ('train', 'val', 'test')
IMAGE_FOLDERS = ('JPEGImages', 'images', '.')


def convert_voc(folder: Path, val_share: float = 0.2) -> dict[str, dict]:
    """Convert a folder in Pascal VOC's layout.

    The splits are the lists ``ImageSets/Main/{train,val,test}.txt``. Without lists, a random
    ``val_share`` of the images, the same in each run, becomes 'val' and the rest 'train'. Boxes are
    converted as mmdet reads them, 1 is subtracted from each coordinate, and cut at the image's border.
    Difficult objects become crowds, which are neither learned nor counted as missed.

    Args:
        folder: Contains ``Annotations/*.xml`` (or the XML files themselves) and the images, in
            ``JPEGImages/`` or ``images/`` or itself.
        val_share: Share of the images for 'val' where there are no lists, in (0, 1).

    Returns:
        Split -> COCO annotations; the ``file_name`` of an image is relative to ``folder``.

    Raises:
        ValueError: There are no XML files, or one of them is not valid, or an image does not exist.
    """
    annotations = folder / 'Annotations' if (folder / 'Annotations').is_dir() else folder
    splits = find_splits(folder, annotations, val_share)
    names = [name for split in splits.values() for name in split]
    parsed = {
        name: parse_annotation(annotations / f'{name}.xml', folder) for name in track(names, 'reading')
    }
    classes = sorted({label for _, objects in parsed.values() for label, _, _ in objects})
    if not classes:
        raise ValueError(f'the XML files in {annotations} have no objects')
    return {
        split: build_coco([parsed[name] for name in names], classes) for split, names in splits.items()
    }


def find_splits(folder: Path, annotations: Path, val_share: float) -> dict[str, list[str]]:
    """Split -> names of its annotation files, without suffix."""
    lists = folder / 'ImageSets' / 'Main'
    splits = {
        split: [
            line.split()[0]
            for line in (lists / f'{split}.txt').read_text().splitlines()
            if line.strip()
        ]
        for split in SPLITS
        if (lists / f'{split}.txt').is_file()
    }
    if 'train' in splits:
        return splits
    names = sorted(path.stem for path in annotations.glob('*.xml'))
    if not names:
        raise ValueError(f'{annotations} has no XML files')
    chosen = choose_val(len(names), val_share)
    return {
        'train': [name for index, name in enumerate(names) if index not in chosen],
        'val': [name for index, name in enumerate(names) if index in chosen],
    }


def parse_annotation(path: Path, folder: Path) -> tuple[dict, list[tuple[str, list[float], bool]]]:
    """Parse an XML file: COCO's dict of its image, and (class, box x y w h, difficult) per object."""
    try:
        root = ET.parse(path).getroot()
        width, height = (int(root.findtext(f'size/{key}', '')) for key in ('width', 'height'))
        objects = []
        for item in root.iter('object'):
            box = [
                float(item.findtext(f'bndbox/{key}', '')) for key in ('xmin', 'ymin', 'xmax', 'ymax')
            ]
            x1, y1, x2, y2 = np.clip(np.array(box) - 1, 0, [width, height] * 2).tolist()
            name = item.findtext('name', '').strip()
            if name and x2 > x1 and y2 > y1:
                objects.append(
                    (name, [x1, y1, x2 - x1, y2 - y1], item.findtext('difficult', '0') == '1')
                )
    except FileNotFoundError:
        raise ValueError(f'the annotation file {path} does not exist') from None
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f'{path} is not an annotation file of Pascal VOC: {error}') from None
    image = find_image(folder, root.findtext('filename', ''), path.stem)
    return dict(file_name=image, width=width, height=height), objects


def find_image(folder: Path, file_name: str, stem: str) -> str:
    """Path of an image, relative to ``folder``: the XML's own name, or the name that it gives."""
    for candidate in (f'{stem}.jpg', f'{stem}.png', f'{stem}.jpeg', file_name):
        for images in IMAGE_FOLDERS:
            if candidate and (folder / images / candidate).is_file():
                return (Path(images) / candidate).as_posix()
    raise ValueError(
        f'the image {file_name or stem} is neither in {folder} nor in its JPEGImages or images'
    )


def build_coco(
    parsed: list[tuple[dict, list[tuple[str, list[float], bool]]]], classes: list[str]
) -> dict:
    """Number images and objects and put them together in COCO's format."""
    images: list[dict] = []
    annotations: list[dict] = []
    for index, (image, objects) in enumerate(parsed, 1):
        images.append(dict(image, id=index))
        for name, box, difficult in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=index,
                    category_id=classes.index(name) + 1,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=int(difficult),
                )
            )
    # mmdet's coco_error_analysis.py needs a supercategory
    categories = [
        dict(id=index, name=name, supercategory='none') for index, name in enumerate(classes, 1)
    ]
    return dict(images=images, annotations=annotations, categories=categories)
