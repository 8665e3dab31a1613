#!/usr/bin/env python3
"""Times training pipelines on one core, next to bare decoding of the same images.

A CONFIG is a config file of a detector, or a file of MMDetection such as
'mmdet::common/lsj-100e_coco-instance.py'. Only its training pipeline is used, on the training images of
--data. Configs that load masks need annotations with masks.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmcednet_threads import limit_threads

if __name__ == '__main__':
    limit_threads()  # before torch is imported

import cv2
import numpy as np
import torch
from mmengine.registry import DATASETS, DefaultScope

from mmcednet.analysis.speed import compute_spread, time_in_turn
from mmcednet.command_line import check_positive, exit_on_error
from mmcednet.config_files import read_config
from mmcednet.own_data.data_folder import find_splits

DECODING = 'decoding'
HEADER = ('pipeline', 'images/s', 'spread', 'share of decoding')


def build_dataset(name: str, folder: Path) -> Any:
    """Build the training dataset of a config with the training images of a folder.

    Args:
        name: A CONFIG; see the module's docstring.
        folder: Folder of a dataset, as for tools/new_config.py.

    Raises:
        ValueError: There is no such file, or the config's training data are not in COCO's format.
    """
    cfg = read_config(name)
    dataset = inner = cfg.train_dataloader.dataset
    while 'dataset' in inner:  # PairedDataset, RepeatDataset, MultiImageMixDataset
        inner = inner.dataset
    if inner.type != 'CocoDataset':
        raise ValueError(f'{name}: its training data are a {inner.type}, but must be a CocoDataset')
    split = find_splits(folder)['train']
    classes = tuple(category['name'] for category in split.content['categories'])
    inner.update(
        data_root='',
        ann_file=str(split.ann_file),
        data_prefix=dict(img=f'{split.images}/'),
        metainfo=dict(classes=classes),
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(dataset)


def decode(paths: Sequence[str]) -> None:
    for path in paths:
        cv2.imread(path)


def load(dataset: Any, indices: Sequence[int]) -> None:
    for index in indices:
        dataset[index]


def measure(names: Sequence[str], folder: Path, images: int, rounds: int) -> dict[str, list[float]]:
    """Time the pipelines in turn; return the seconds per image of each round."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    np.random.seed(0)
    datasets = {name: build_dataset(name, folder) for name in names}
    length = min(map(len, datasets.values()))
    indices = np.random.permutation(length)[:images].tolist()
    paths = [next(iter(datasets.values())).get_data_info(index)['img_path'] for index in indices]
    steps: dict[str, Callable[[], Any]] = {DECODING: partial(decode, paths)}
    steps |= {name: partial(load, dataset, indices) for name, dataset in datasets.items()}
    seconds = time_in_turn(steps, rounds, torch.device('cpu'))
    return {name: [value / len(indices) for value in values] for name, values in seconds.items()}


def format_table(seconds: dict[str, list[float]]) -> str:
    """Make a Markdown table."""
    lines = ['| ' + ' | '.join(HEADER) + ' |', '| --- ' * len(HEADER) + '|']
    bare = statistics.median(seconds[DECODING])
    for name, values in seconds.items():
        median = statistics.median(values)
        lines.append(
            f'| {name} | {1 / median:.0f} | ±{compute_spread(values):.0%} | {bare / median:.2f} |'
        )
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument(
        '--data', type=Path, required=True, help='folder of a dataset, as for tools/new_config.py'
    )
    parser.add_argument('--images', type=int, default=100, help='images per round; default: 100')
    parser.add_argument('--rounds', type=int, default=5, help='timed rounds; default: 5')
    args = parser.parse_args(argv)
    check_positive(parser, args, 'images', 'rounds')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error():
        seconds = measure(args.configs, args.data, args.images, args.rounds)
    print(format_table(seconds))
    return 0


if __name__ == '__main__':
    sys.exit(main())
