"""Pre-flight check of segmenters: their classes, label maps and batch size."""

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

from mmcednet.images import IMAGE_ERRORS, ImageError, read_size

from .data import find_missing_files, iter_datasets
from .features import iter_heads
from .unwrap import unwrap_model

if TYPE_CHECKING:  # mmseg is optional
    from mmseg.datasets import BaseSegDataset


def check_segmentation(runner: Runner, *loaders: str) -> None:
    """Check the datasets and the batch size of a segmenter; other models are not checked.

    Reads every label map that mmseg's ``LoadAnnotations`` will load; each process reads its share.

    Args:
        runner: Runner of an mmseg config.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: A dataset is empty, an image or label map does not exist, a label map contains an id
            that is not a class, the heads have another number of classes, or a training batch is too
            small for BatchNorm.
    """
    model = unwrap_model(runner.model)
    if not hasattr(model, 'decode_head'):
        return
    from mmseg.datasets import BaseSegDataset

    for loader in loaders:
        for settings in iter_datasets(runner.cfg.get(f'{loader}_dataloader')):
            if not loads_label_maps(settings.get('pipeline')):
                continue
            dataset = DATASETS.build(dict(settings, lazy_init=True))
            local = isinstance(dataset, BaseSegDataset) and dataset.backend_args is None
            if local and dataset.metainfo.get('classes'):
                check_num_classes(model, len(dataset.metainfo['classes']), type(dataset).__name__)
                check_label_maps(list_label_maps(dataset), dataset)
    if 'train' in loaders:
        check_pooled_batch(model, compute_smallest_batch(runner.cfg.train_dataloader))


def loads_label_maps(node: object) -> bool:
    """Whether a pipeline loads label maps with mmseg's loader; other loaders may change the ids."""
    if isinstance(node, dict):
        own = node.get('type') in ('LoadAnnotations', 'mmseg.LoadAnnotations')
        pillow = node.get('imdecode_backend', 'pillow') == 'pillow'
        return (own and pillow) or any(loads_label_maps(value) for value in node.values())
    return isinstance(node, (list, tuple)) and any(map(loads_label_maps, node))


def check_num_classes(model: nn.Module, num_classes: int, dataset: str) -> None:
    """Check that the heads have as many classes as the dataset."""
    from mmseg.models.decode_heads import STDCHead

    for name, head in iter_heads(model, 'decode_head', 'auxiliary_head'):
        # STDCHead learns boundaries, with two classes that it derives from the label maps
        if head.num_classes != num_classes and not isinstance(head, STDCHead):
            raise ValueError(
                f'the {name} has num_classes={head.num_classes}, but the dataset {dataset} has '
                f'{num_classes} classes'
            )


def list_label_maps(dataset: 'BaseSegDataset') -> list[tuple[Path, Path]]:
    """List the label maps of a dataset and their images; check that they exist."""
    infos = dataset.load_data_list()
    if not infos:
        if os.path.isfile(dataset.ann_file):
            raise ValueError(f'the image list {dataset.ann_file} is empty')
        raise ValueError(
            f'the image folder {dataset.data_prefix.get("img_path")} has no file with the suffix '
            f'{dataset.img_suffix}'
        )
    if 'seg_map_path' not in infos[0]:
        raise ValueError(
            f'the dataset {type(dataset).__name__} of {dataset.data_root} has no '
            f'data_prefix.seg_map_path, the folder of the label maps'
        )
    images = [Path(info['img_path']) for info in infos]
    missing = find_missing_files(images)
    if missing:
        raise ValueError(f'{len(missing)} images do not exist, the first is {missing[0]}')
    paths = [Path(info['seg_map_path']) for info in infos]
    missing = find_missing_files(paths)
    if missing:
        raise ValueError(f'{len(missing)} label maps do not exist, the first is {missing[0]}')
    return list(zip(paths, images))


def check_label_maps(pairs: list[tuple[Path, Path]], dataset: 'BaseSegDataset') -> None:
    """Check label maps, each with its image, in threads.

    Each process checks its share, and all raise if one finds an error.
    """
    pairs = pairs[get_rank() :: get_world_size()]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda pair: find_label_map_error(pair[0], pair[1], dataset), pairs)
        shown = track(found, 'checking label maps', len(pairs), disable=get_rank() > 0)
        error = next(filter(None, shown), None)
        pool.shutdown(cancel_futures=True)
    # If one process stopped alone, the others would wait for it.
    for message in filter(None, all_gather_object(error)):
        raise ValueError(message)


def find_label_map_error(path: Path, image: Path, dataset: 'BaseSegDataset') -> str | None:
    """Return the error message of an invalid label map, None for a valid one."""
    try:
        ids = imfrombytes(path.read_bytes(), flag='unchanged', backend='pillow')
    except (*IMAGE_ERRORS, ValueError) as error:  # Pillow raises any of these
        return f'the label map {path} cannot be read: {error}'
    if ids.ndim != 2:
        return f'the label map {path} has the shape {ids.shape}; it must be (H, W), of class ids'
    try:
        size = read_size(image)
    except ImageError as error:
        return str(error)
    if size is not None and size[:2] != ids.shape[::-1]:
        height, width = ids.shape
        return f'the label map {path} has {width}x{height} px, its image {image} {size[0]}x{size[1]}'
    # If the config selects some of the classes, mmseg's label_map has all ids on disk.
    num_classes = len(dataset.label_map or dataset.metainfo['classes'])
    first = 1 if dataset.reduce_zero_label else 0
    ignored = sorted({0, dataset.ignore_index} if dataset.reduce_zero_label else {dataset.ignore_index})
    invalid = (ids < first) | (ids >= first + num_classes)
    for value in ignored:
        invalid &= ids != value
    if not invalid.any():
        return None
    return (
        f'the label map {path} has the id {ids[invalid].min()}; valid ids are {first} to '
        f'{first + num_classes - 1} for the {num_classes} classes and '
        f'{" and ".join(map(str, ignored))} for ignored pixels'
    )


def compute_smallest_batch(loader: dict) -> int:
    """Compute the size of the smallest batch that a process trains on."""
    batch = loader['batch_size']
    infinite = 'Infinite' in str(loader['sampler']['type'])
    batches = loader.get('batch_sampler') or {}
    if infinite or loader.get('drop_last') or batches.get('drop_last'):
        return batch
    images = math.ceil(len(DATASETS.build(loader['dataset'])) / get_world_size())
    return images % batch or batch


def check_pooled_batch(model: nn.Module, images: int) -> None:
    """Check that BatchNorm gets more than one value per channel after pooling to 1x1."""
    for name, pooled in find_pooled_norms(model):
        number = images * (get_world_size() if isinstance(pooled, nn.SyncBatchNorm) else 1)
        if number == 1:
            raise ValueError(
                f'{name} cannot train on a batch of one image, because BatchNorm gets one value per '
                f'channel; set train_dataloader.batch_size to 2 or more, and '
                f'train_dataloader.drop_last=True if the last batch has one image'
            )


def find_pooled_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Find the BatchNorms, and their names, in each nn.Sequential that starts with pooling to 1x1."""
    for name, module in model.named_modules():
        first = module[0] if isinstance(module, nn.Sequential) and len(module) else None
        if isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1)):
            for part, norm in module.named_modules():
                if isinstance(norm, _BatchNorm):
                    yield f'{name}.{part}', norm
