"""The generated shapes, whose polygons and boxes are known, in the formats of other tools."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

SPLITS = ('train', 'val')


def read_shapes(shapes: Path, split: str) -> dict:
    return json.loads((shapes / 'annotations' / f'{split}.json').read_text())


def group_objects(content: dict) -> list[tuple[dict, list[dict]]]:
    """Images and their objects with one polygon, which all formats have."""
    return [
        (
            image,
            [
                item
                for item in content['annotations']
                if item['image_id'] == image['id'] and len(item['segmentation']) == 1
            ],
        )
        for image in content['images']
    ]


def write_yolo(shapes: Path, folder: Path, polygons: bool, images: str, labels: str) -> Path:
    """Write text files; ``images`` and ``labels`` are templates of the folders of a split."""
    for split in SPLITS:
        content = read_shapes(shapes, split)
        ids = [category['id'] for category in content['categories']]
        for kind in (images, labels):
            (folder / kind.format(split)).mkdir(parents=True, exist_ok=True)
        for image, objects in group_objects(content):
            shutil.copy(shapes / split / image['file_name'], folder / images.format(split))
            size = np.array([image['width'], image['height']])
            lines = []
            for item in objects:
                x, y, width, height = item['bbox']
                values = np.array([[x + width / 2, y + height / 2], [width, height]]) / size
                if polygons:
                    values = np.reshape(item['segmentation'][0], (-1, 2)) / size
                numbers = ' '.join(f'{value:.10f}' for value in values.flatten())
                lines.append(f'{ids.index(item["category_id"])} {numbers}\n')
            path = folder / labels.format(split) / f'{Path(image["file_name"]).stem}.txt'
            path.write_text(''.join(lines))
    return folder


def write_labelme(shapes: Path, folder: Path) -> Path:
    """Write a JSON file beside each image: polygons in 'train', rectangles in 'val'."""
    for split in SPLITS:
        content = read_shapes(shapes, split)
        names = {category['id']: category['name'] for category in content['categories']}
        (folder / split).mkdir(parents=True)
        for image, objects in group_objects(content):
            source = shapes / split / image['file_name']
            shutil.copy(source, folder / split)
            entries = []
            for item in objects:
                x, y, width, height = item['bbox']
                points = np.reshape(item['segmentation'][0], (-1, 2)).tolist()
                if split == 'val':  # from the lower right corner to the upper left one
                    points = [[x + width, y + height], [x, y]]
                kind = 'polygon' if split == 'train' else 'rectangle'
                entry = dict(label=names[item['category_id']], points=points, group_id=None)
                entries.append(dict(entry, shape_type=kind, flags={}))
            height, width = cv2.imread(str(source)).shape[:2]
            document = dict(version='5.5.0', flags={}, shapes=entries, imagePath=source.name)
            document |= dict(imageData=None, imageHeight=height, imageWidth=width)
            (folder / split / f'{source.stem}.json').write_text(json.dumps(document))
    return folder


def compare(converted: dict, shapes: Path, split: str, masks: bool) -> None:
    """Compare annotations with those that were drawn, as pycocotools reads both."""
    from pycocotools.coco import COCO

    drawn = read_shapes(shapes, split)
    expected, found = COCO(), COCO()
    expected.dataset, found.dataset = drawn, converted
    expected.createIndex()
    found.createIndex()
    names = {category['id']: category['name'] for category in converted['categories']}
    drawn_names = {category['id']: category['name'] for category in drawn['categories']}
    by_name = {Path(image['file_name']).name: image for image in converted['images']}
    number = 0
    for image, objects in group_objects(drawn):
        ours = by_name.pop(image['file_name'])
        assert (ours['width'], ours['height']) == (image['width'], image['height'])
        items = found.loadAnns(found.getAnnIds(ours['id']))
        assert [names[item['category_id']] for item in items] == [
            drawn_names[item['category_id']] for item in objects
        ]
        for item, other in zip(items, objects, strict=True):
            if masks:
                np.testing.assert_array_equal(found.annToMask(item), expected.annToMask(other))
                assert item['area'] == expected.annToMask(other).sum()
                points = np.reshape(other['segmentation'][0], (-1, 2))
                box = [*points.min(0), *np.ptp(points, axis=0)]
            else:
                assert 'segmentation' not in item
                box = other['bbox']
            np.testing.assert_allclose(item['bbox'], box, atol=1e-6)
            number += 1
    assert not by_name and number == len(converted['annotations']) > 0
