"""The checks before a segmenter is trained or tested: its classes, its label maps, its batch."""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mmcv import imfrombytes
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from rich.progress import track
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .data import datasets_in, missing_files
from .features import heads
from .unwrap import unwrap_model

if TYPE_CHECKING:  # mmdet's users need not have mmseg
    from mmseg.datasets import BaseSegDataset


def check_segmentation(runner: Runner, *loaders: str) -> None:
    """Check the data sets of a segmenter; of other models, nothing.

    Every label map that mmseg's ``LoadAnnotations`` will load is read, by each process its share.

    Args:
        runner: Of an mmseg config.
        loaders: Which data loaders: 'train', 'val', 'test'.

    Raises:
        ValueError: A data set is empty, an image or its label map is missing, a label map is no map of
            the data set's classes, the heads have another number of classes, or a batch to train on
            is too small for BatchNorm.
    """
    model = unwrap_model(runner.model)
    if not hasattr(model, 'decode_head'):
        return
    from mmseg.datasets import BaseSegDataset

    for loader in loaders:
        for settings in datasets_in(runner.cfg.get(f'{loader}_dataloader')):
            if not loads_label_maps(settings.get('pipeline')):
                continue
            dataset = DATASETS.build(dict(settings, lazy_init=True))
            local = isinstance(dataset, BaseSegDataset) and dataset.backend_args is None
            if local and dataset.metainfo.get('classes'):
                check_classes(model, len(dataset.metainfo['classes']), type(dataset).__name__)
                check_label_maps(label_maps_of(dataset), dataset)
    if 'train' in loaders:
        check_pooled_batch(model, smallest_batch(runner.cfg.train_dataloader))


def loads_label_maps(node: object) -> bool:
    """Whether a pipeline has mmseg's own loader of label maps; others may read ids in other ways."""
    if isinstance(node, dict):
        own = node.get('type') in ('LoadAnnotations', 'mmseg.LoadAnnotations')
        pillow = node.get('imdecode_backend', 'pillow') == 'pillow'
        return (own and pillow) or any(loads_label_maps(value) for value in node.values())
    return isinstance(node, (list, tuple)) and any(map(loads_label_maps, node))


def check_classes(model: nn.Module, number: int, dataset: str) -> None:
    from mmseg.models.decode_heads import STDCHead

    for name, head in heads(model, 'decode_head', 'auxiliary_head'):
        # STDC's learns boundaries, of which it makes two classes itself
        if head.num_classes != number and not isinstance(head, STDCHead):
            raise ValueError(
                f'the {name} has num_classes={head.num_classes}, but the data set {dataset} has '
                f'{number} classes'
            )


def label_maps_of(dataset: 'BaseSegDataset') -> list[Path]:
    infos = dataset.load_data_list()
    if not infos:
        listed = f'the list of images {dataset.ann_file} is empty'
        folder = f'the image folder {dataset.data_prefix.get("img_path")}'
        none = f'{folder} has no file whose name ends in {dataset.img_suffix}'
        raise ValueError(listed if os.path.isfile(dataset.ann_file) else none)
    if 'seg_map_path' not in infos[0]:
        raise ValueError(
            f'the data set {type(dataset).__name__} of {dataset.data_root} has no '
            f'data_prefix.seg_map_path, the folder of its label maps'
        )
    missing = missing_files(Path(info['img_path']) for info in infos)
    if missing:
        raise ValueError(f'{len(missing)} images are not there, the first is {missing[0]}')
    paths = [Path(info['seg_map_path']) for info in infos]
    missing = missing_files(paths)
    if missing:
        raise ValueError(f'{len(missing)} images have no label map, the first missing is {missing[0]}')
    return paths


def check_label_maps(paths: list[Path], dataset: 'BaseSegDataset') -> None:
    paths = paths[get_rank() :: get_world_size()]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda path: wrong_label_map(path, dataset), paths)
        shown = track(found, 'checking label maps', len(paths), disable=get_rank() > 0)
        wrong = next(filter(None, shown), None)
        pool.shutdown(cancel_futures=True)
    # All processes stop where one has found something; the others would wait for it in vain.
    for sentence in filter(None, all_gather_object(wrong)):
        raise ValueError(sentence)


def wrong_label_map(path: Path, dataset: 'BaseSegDataset') -> str | None:
    """A sentence about what is wrong with a label map, if anything is."""
    try:
        ids = imfrombytes(path.read_bytes(), flag='unchanged', backend='pillow')
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three
        return f'the label map {path} cannot be read: {error}'
    if ids.ndim != 2:
        return f'the label map {path} has the shape {ids.shape}; it must be one channel of class ids'
    # A label_map of mmseg's has the ids on disk where the config selects classes.
    number = len(dataset.label_map or dataset.metainfo['classes'])
    first = 1 if dataset.reduce_zero_label else 0
    ignored = sorted({0, dataset.ignore_index} if dataset.reduce_zero_label else {dataset.ignore_index})
    strange = (ids < first) | (ids >= first + number)
    for value in ignored:
        strange &= ids != value
    if not strange.any():
        return None
    return (
        f'the label map {path} has the id {ids[strange].min()}; the {number} classes have the ids '
        f'{first} to {first + number - 1}, and {" and ".join(map(str, ignored))} is for what has none'
    )


def smallest_batch(loader: dict) -> int:
    """The fewest images that one process trains on at once."""
    batch = loader['batch_size']
    endless = 'Infinite' in str(loader['sampler']['type'])
    if endless or loader.get('drop_last'):
        return batch
    images = math.ceil(len(DATASETS.build(loader['dataset'])) / get_world_size())
    return images % batch or batch


def check_pooled_batch(model: nn.Module, images: int) -> None:
    """Check that BatchNorm has more than one value per channel after a pooling to 1x1."""
    for name, pooled in pooled_norms(model):
        number = images * (get_world_size() if isinstance(pooled, nn.SyncBatchNorm) else 1)
        if number == 1:
            raise ValueError(
                f'{name} normalises one value per channel where a batch has one image, and cannot be '
                f'trained on that; set train_dataloader.batch_size to 2 or more, and '
                f'train_dataloader.drop_last=True where one image is left over'
            )


def pooled_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """With their names, the BatchNorms of each nn.Sequential that begins with a pooling to 1x1."""
    for name, module in model.named_modules():
        first = module[0] if isinstance(module, nn.Sequential) and len(module) else None
        if isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1)):
            for part, norm in module.named_modules():
                if isinstance(norm, _BatchNorm):
                    yield f'{name}.{part}', norm
