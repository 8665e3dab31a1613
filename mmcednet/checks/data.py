"""Pre-flight check of the data: annotation files and images of a config's data loaders."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from .annotations import check_annotations
from .coco_format import read_coco

REMOTE = '://'


def check_data(cfg: Config, *loaders: str) -> None:
    """Check annotation files and images of COCO-format datasets, and the folders of others.

    Args:
        cfg: Config with the data loaders.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: A folder, an annotation file or an image does not exist, or an annotation file is
            not valid JSON or not of COCO's format, has no annotations of the config's classes, or has
            errors, see :func:`check_annotations`.
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
    content = read_coco(ann_file)
    if not dataset.get('test_mode') and not content.get('annotations'):
        raise ValueError(f'the annotation file {ann_file} has no annotations')
    classes = (dataset.get('metainfo') or {}).get('classes')
    names = [category['name'] for category in content['categories']]
    if classes and not set(classes) & set(names):
        raise ValueError(f'the annotation file {ann_file} has none of the classes {tuple(classes)}')
    if classes and [name for name in names if name in classes] != list(classes):
        print_log(
            f"{ann_file}: its categories are not the config's classes, in their order; mmdet numbers "
            f'classes in the order of the categories, so that names and labels may not match',
            'current',
            logging.WARNING,
        )
    check_masks(dataset, content, ann_file)
    paths = [images / image['file_name'] for image in content['images']]
    missing = find_missing_files(paths)
    if missing:
        raise ValueError(f'{len(missing)} images of {ann_file} do not exist, the first is {missing[0]}')
    if dataset.get('type') in ('CocoDataset', 'mmdet.CocoDataset'):
        content.setdefault('annotations', [])
        check_annotations(content, ann_file, images, bool(dataset.get('test_mode')))
    return set(paths)


def check_masks(dataset: dict, content: dict, ann_file: Path) -> None:
    """Check that each object has a mask if the pipeline loads masks, and one that it does not ignore.

    Raises:
        ValueError: A mask is missing, or is not a polygon although the pipeline reads only these.
    """
    steps = [step for step in dataset.get('pipeline') or () if step['type'] == 'LoadAnnotations']
    masks = any(step.get('with_mask') for step in steps)
    polygons = any(not step.get('poly2mask', True) for step in steps)
    classes = (dataset.get('metainfo') or {}).get('classes')
    used = {item['id'] for item in content['categories'] if not classes or item['name'] in classes}
    for item in content.get('annotations', ()):
        mask, name = item.get('segmentation'), f'annotation {item.get("id")}'
        if masks and not mask and item.get('category_id') in used:
            raise ValueError(
                f'{ann_file}: {name} has no segmentation, which LoadAnnotations needs for its masks'
            )
        if polygons and isinstance(mask, dict) and not item.get('iscrowd'):
            raise ValueError(
                f'{ann_file}: the mask of {name} is not a polygon, so that LoadAnnotations would '
                'ignore it; set its poly2mask=True'
            )


def find_missing_files(paths: Iterable[Path]) -> list[Path]:
    """Return those of the files that do not exist."""
    # One listing per folder: 118,000 separate queries are slow on a cluster's file system.
    listings: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        if path.parent not in listings:
            exists = os.path.isdir(path.parent)  # False for any text, where is_dir may raise
            listings[path.parent] = set(os.listdir(path.parent)) if exists else set()
        if path.name not in listings[path.parent]:
            missing.append(path)
    return missing
