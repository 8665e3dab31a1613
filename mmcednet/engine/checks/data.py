"""What can be known to fail is said before the long part starts, in a sentence."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config

REMOTE = '://'


def check_data(cfg: Config, *loaders: str) -> None:
    """Check the annotation files and images of COCO-format data sets, the folders of others.

    Args:
        cfg: Config with the data loaders.
        loaders: Which of them: 'train', 'val', 'test'.

    Raises:
        ValueError: A folder or an annotation file is missing, that is no JSON or has no annotations
            of the config's classes, or an image that it names is not there.
    """
    checked = set()
    for loader in loaders:
        for dataset in datasets_in(cfg.get(f'{loader}_dataloader')):
            files = (str(dataset.get('ann_file', '')), image_folder(dataset))
            remote = dataset.get('backend_args') is not None or REMOTE in files[0] + files[1]
            if remote or files in checked:
                continue
            checked.add(files)
            if files[0].endswith('.json'):
                check_coco(dataset, Path(joined(dataset, files[0])), Path(files[1]))
            elif files[0] and not os.path.exists(joined(dataset, files[0])):
                raise ValueError(f'the annotation file {joined(dataset, files[0])} is not there')
            elif not os.path.isdir(files[1]):
                raise ValueError(f'the image folder {files[1]} is not there')


def datasets_in(node: object) -> Iterator[dict]:
    """All data sets in a loader's config, through wrappers."""
    if isinstance(node, dict):
        if not {'ann_file', 'data_root', 'data_prefix'}.isdisjoint(node):
            yield node
        for value in node.values():
            yield from datasets_in(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from datasets_in(value)


def joined(dataset: dict, path: str) -> str:
    return os.path.join(dataset.get('data_root') or '', path)


def image_folder(dataset: dict) -> str:
    prefix = dataset.get('data_prefix') or dataset.get('split') or {}  # split: of mmpretrain's ImageNet
    if isinstance(prefix, str):
        return joined(dataset, prefix)
    return joined(dataset, prefix.get('img') or prefix.get('img_path') or '')


def check_coco(dataset: dict, ann_file: Path, images: Path) -> None:
    if not ann_file.is_file():
        raise ValueError(f'the annotation file {ann_file} is not there')
    try:
        content = json.loads(ann_file.read_bytes())
    except ValueError as error:
        raise ValueError(f'the annotation file {ann_file} is no JSON: {error}') from None
    if not isinstance(content, dict) or not content.get('images') or 'categories' not in content:
        raise ValueError(f'the annotation file {ann_file} has no images or no categories')
    if not dataset.get('test_mode') and not content.get('annotations'):
        raise ValueError(f'the annotation file {ann_file} has no annotations to train on')
    classes = (dataset.get('metainfo') or {}).get('classes')
    names = [category['name'] for category in content['categories']]
    if classes and not set(classes) & set(names):
        raise ValueError(f'the annotation file {ann_file} has none of the classes {tuple(classes)}')
    missing = missing_files(images / image['file_name'] for image in content['images'])
    if missing:
        raise ValueError(
            f'{ann_file} names {len(missing)} images that are not there, the first is {missing[0]}'
        )


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the files that are not there."""
    # One listing for each folder: asking for 118,000 files one by one is slow on a cluster's disks.
    listings: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        if path.parent not in listings:
            there = path.parent.is_dir()
            listings[path.parent] = set(os.listdir(path.parent)) if there else set()
        if path.name not in listings[path.parent]:
            missing.append(path)
    return missing
