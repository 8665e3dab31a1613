"""Pre-flight check of segmenters: their classes, label maps and batch size."""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from rich.progress import track
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcednet.config_files import get_type, iter_dicts
from mmcednet.images import find_values, read_label_map, read_size
from mmcednet.wording import join_words

from .data import find_missing_files, iter_datasets, warn_about_shared_images
from .features import iter_heads
from .image_files import check_image_files, reads_by_default
from .unwrap import unwrap_model

if TYPE_CHECKING:  # mmseg is optional
    from mmseg.datasets import BaseSegDataset


def check_segmentation(runner: Runner, *loaders: str) -> None:
    """Check the datasets and the batch size of a segmenter; other models are not checked.

    Args:
        runner: Runner of an mmseg config.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: See :func:`check_segmentation_data`; or the heads have another number of classes, or
            a training batch is too small for BatchNorm.
    """
    model = unwrap_model(runner.model)
    if not hasattr(model, 'decode_head'):
        return
    for loader in loaders:
        for _, dataset in build_datasets(runner.cfg, loader):
            check_num_classes(model, len(dataset.metainfo['classes']), type(dataset).__name__)
    check_segmentation_data(runner.cfg, *loaders)
    if 'train' in loaders:
        check_pooled_batch(model, compute_smallest_batch(runner.cfg.train_dataloader))


def check_segmentation_data(cfg: Config, *loaders: str) -> None:
    """Check the images and label maps of a segmenter's config.

    Reads every label map that mmseg's ``LoadAnnotations`` will load; each process reads its share.

    Args:
        cfg: An mmseg config.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: A dataset is empty, an image or label map does not exist, a label map contains an id
            that is not a class, or the label maps of the training contain one class only.
    """
    splits: dict[str, set[Path]] = {loader: set() for loader in loaders}
    for loader in loaders:
        found: set[str] = set()
        read = False
        for settings, dataset in build_datasets(cfg, loader):
            mapping = find_label_mapping(settings['pipeline'])
            if mapping and (dataset.reduce_zero_label or dataset.label_map):
                raise ValueError(
                    f'MapLabels maps the values in the files: {settings["type"]} must neither have '
                    f'reduce_zero_label nor a selection of its classes'
                )
            if mapping and len(mapping['values']) != len(dataset.metainfo['classes']):
                raise ValueError(
                    f'MapLabels has the values {tuple(mapping["values"])}, one per class, but the '
                    f'dataset {settings["type"]} has {len(dataset.metainfo["classes"])} classes'
                )
            pairs = list_label_maps(dataset)
            if reads_by_default(settings['pipeline']):
                check_image_files([image for _, image in pairs], str(pairs[0][1].parent))
            splits[loader] |= {Path(os.path.realpath(image)) for _, image in pairs}
            found |= check_label_maps(pairs, dataset, mapping)
            read = True
        if loader == 'train' and read and len(found) < 2:
            raise ValueError(
                f'the label maps of {dataset.data_prefix["seg_map_path"]} have pixels of '
                f'{"no class" if not found else f"one class only, {found.pop()!r}"}, so that there is '
                f'nothing to learn; if the objects are drawn with another value, such as 255, which is '
                f'ignored, MapLabels(values=...) after LoadAnnotations maps it to its class'
            )
    warn_about_shared_images(splits)


def build_datasets(cfg: Config, loader: str) -> Iterator[tuple[dict, 'BaseSegDataset']]:
    """Build the local datasets of a loader that load label maps; yields their settings, too."""
    from mmseg.datasets import BaseSegDataset

    for settings in iter_datasets(cfg.get(f'{loader}_dataloader')):
        if loads_label_maps(settings.get('pipeline')):
            dataset = DATASETS.build(dict(settings, lazy_init=True))
            local = isinstance(dataset, BaseSegDataset) and dataset.backend_args is None
            if local and dataset.metainfo.get('classes'):
                yield settings, dataset


def loads_label_maps(pipeline: object) -> bool:
    """Whether a pipeline loads label maps with mmseg's loader; other loaders may change the ids."""
    return any(
        get_type(step) == 'LoadAnnotations' and step.get('imdecode_backend', 'pillow') == 'pillow'
        for step in iter_dicts(pipeline)
    )


def find_label_mapping(pipeline: object) -> dict | None:
    """The config of the ``MapLabels`` with which a pipeline maps the values of label maps, if any."""
    return next((step for step in iter_dicts(pipeline) if get_type(step) == 'MapLabels'), None)


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


def check_label_maps(
    pairs: list[tuple[Path, Path]], dataset: 'BaseSegDataset', mapping: dict | None
) -> set[str]:
    """Check label maps, each with its image, in threads; return the names of the classes in them.

    Each process checks its share, and all raise if one finds an error.
    """
    meanings = describe_ids(dataset, mapping)
    pairs = pairs[get_rank() :: get_world_size()]
    names: set[str] = set()
    error = None
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda pair: read_ids(*pair), pairs)
        shown = track(found, 'checking label maps', len(pairs), disable=get_rank() > 0)
        try:
            for ids, (path, _) in zip(shown, pairs):
                check_ids(path, ids, meanings)
                names.update(filter(None, (meanings[index] for index in ids)))
        except ValueError as invalid:
            error = str(invalid)
        pool.shutdown(cancel_futures=True)
    # If one process stopped alone, the others would wait for it.
    everywhere = all_gather_object((error, names))
    for message in filter(None, (message for message, _ in everywhere)):
        raise ValueError(message)
    return set().union(*(names for _, names in everywhere))


def describe_ids(dataset: 'BaseSegDataset', mapping: dict | None) -> dict[int, str | None]:
    """Which ids the label maps may have: id -> name of its class, None for an id that is ignored."""
    classes = dataset.metainfo['classes']
    ids: dict[int, str | None] = {dataset.ignore_index: None}
    if mapping:
        ids |= dict.fromkeys(mapping.get('ignored', ()))
        return ids | dict(zip(mapping['values'], classes))
    first = 0
    if dataset.reduce_zero_label:
        ids[0], first = None, 1
    if dataset.label_map:  # the config selects some of the classes; the files have all ids
        selected = dict(enumerate(classes))
        return ids | {first + old: selected.get(new) for old, new in dataset.label_map.items()}
    return ids | {first + index: name for index, name in enumerate(classes)}


def read_ids(path: Path, image: Path) -> list[int]:
    """Return the ids in a label map.

    Raises:
        ValueError: It cannot be read, or has another size than its image.
    """
    label_map = read_label_map(path)
    size = read_size(image)
    if size is not None and size[:2] != label_map.shape[::-1]:
        height, width = label_map.shape
        raise ValueError(
            f'the label map {path} has {width}x{height} px, its image {image} {size[0]}x{size[1]}'
        )
    return find_values(label_map)


def check_ids(path: Path, ids: list[int], meanings: dict[int, str | None]) -> None:
    """Check that the ids of a label map are classes, or ignored."""
    invalid = [index for index in ids if index not in meanings]
    if not invalid:
        return
    classes = [index for index, name in meanings.items() if name is not None]
    ignored = [index for index, name in meanings.items() if name is None]
    raise ValueError(
        f'the label map {path} has the id {invalid[0]}; valid ids are {describe_ranges(classes)} for '
        f'the {len(classes)} classes'
        + (f' and {describe_ranges(ignored)} for ignored pixels' if ignored else '')
    )


def describe_ranges(numbers: list[int]) -> str:
    """Write numbers as ranges: '0 and 2 to 5'."""
    starts = [number for number in sorted(numbers) if number - 1 not in numbers]
    ends = [number for number in sorted(numbers) if number + 1 not in numbers]
    parts = [str(start) if start == end else f'{start} to {end}' for start, end in zip(starts, ends)]
    return join_words(parts)


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
