"""Pre-flight check of the data: annotation files and images of a config's data loaders."""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from .annotations import check_annotations

REMOTE = '://'


def check_data(cfg: Config, *loaders: str) -> None:
    """Check annotation files and images of COCO-format datasets, and the folders of others.

    Args:
        cfg: Config with the data loaders.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: A folder, an annotation file or an image does not exist, or an annotation file is
            not valid JSON, has no annotations of the config's classes, or has errors, see
            :func:`check_annotations`.
    """
    checked = set()
    splits: dict[str, set[Path]] = {loader: set() for loader in loaders}
    for loader in loaders:
        for dataset in iter_datasets(cfg.get(f'{loader}_dataloader')):
            files = (str(dataset.get('ann_file', '')), get_image_folder(dataset))
            remote = dataset.get('backend_args') is not None or REMOTE in files[0] + files[1]
            if remote or files in checked:
                continue
            checked.add(files)
            ann_file = join_data_root(dataset, files[0])
            if ann_file.endswith('.json'):
                splits[loader] |= check_coco(dataset, Path(ann_file), Path(files[1]))
            elif files[0] and not os.path.exists(ann_file):
                raise ValueError(f'the annotation file {ann_file} does not exist')
            elif not os.path.isdir(files[1]):
                raise ValueError(f'the image folder {files[1]} does not exist')
    for loader in set(loaders) - {'train'}:
        both = sorted(splits[loader] & splits.get('train', set()))
        if both:
            print_log(
                f'{len(both)} images are in the training and in the {loader} data, so that its metrics '
                f'are too good: {both[0]}' + (', ...' if len(both) > 1 else ''),
                'current',
                logging.WARNING,
            )


def iter_datasets(node: object) -> Iterator[dict]:
    """Iterate over all dataset configs in a data loader's config, including wrapped ones."""
    if isinstance(node, dict):
        if not {'ann_file', 'data_root', 'data_prefix'}.isdisjoint(node):
            yield node
        for value in node.values():
            yield from iter_datasets(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from iter_datasets(value)


def join_data_root(dataset: dict, path: str) -> str:
    return os.path.join(dataset.get('data_root') or '', path)


def get_image_folder(dataset: dict) -> str:
    prefix = dataset.get('data_prefix') or dataset.get('split') or {}  # split: mmpretrain's ImageNet
    if isinstance(prefix, str):
        return join_data_root(dataset, prefix)
    return join_data_root(dataset, prefix.get('img') or prefix.get('img_path') or '')


def check_coco(dataset: dict, ann_file: Path, images: Path) -> set[Path]:
    """Check an annotation file in COCO format and the existence of its images; return these."""
    if not ann_file.is_file():
        raise ValueError(f'the annotation file {ann_file} does not exist')
    try:
        content = json.loads(ann_file.read_bytes())
    except ValueError as error:
        raise ValueError(f'the annotation file {ann_file} is not valid JSON: {error}') from None
    if not isinstance(content, dict) or not content.get('images') or 'categories' not in content:
        raise ValueError(f'the annotation file {ann_file} has no images or no categories')
    if not dataset.get('test_mode') and not content.get('annotations'):
        raise ValueError(f'the annotation file {ann_file} has no annotations')
    classes = (dataset.get('metainfo') or {}).get('classes')
    names = [category['name'] for category in content['categories']]
    if classes and not set(classes) & set(names):
        raise ValueError(f'the annotation file {ann_file} has none of the classes {tuple(classes)}')
    check_polygons(dataset, content, ann_file)
    paths = [images / image['file_name'] for image in content['images']]
    missing = find_missing_files(paths)
    if missing:
        raise ValueError(f'{len(missing)} images of {ann_file} do not exist, the first is {missing[0]}')
    if dataset.get('type') in ('CocoDataset', 'mmdet.CocoDataset') and content.get('annotations'):
        check_annotations(content, ann_file, images)
    return set(paths)


def check_polygons(dataset: dict, content: dict, ann_file: Path) -> None:
    """Check that masks are polygons if the pipeline reads only these; it would ignore the others."""
    steps = (step for step in dataset.get('pipeline') or () if step['type'] == 'LoadAnnotations')
    if all(step.get('poly2mask', True) for step in steps):
        return
    for annotation in content.get('annotations', ()):
        if isinstance(annotation.get('segmentation'), dict) and not annotation.get('iscrowd'):
            raise ValueError(
                f'{ann_file}: the mask of annotation {annotation["id"]} is not a polygon, so that '
                'LoadAnnotations would ignore it; set its poly2mask=True'
            )


def find_missing_files(paths: Iterable[Path]) -> list[Path]:
    """Return those of the files that do not exist."""
    # One listing per folder: 118,000 separate queries are slow on a cluster's file system.
    listings: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        if path.parent not in listings:
            exists = path.parent.is_dir()
            listings[path.parent] = set(os.listdir(path.parent)) if exists else set()
        if path.name not in listings[path.parent]:
            missing.append(path)
    return missing
