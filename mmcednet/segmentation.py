"""The checks before a segmenter is trained or tested: its classes, its label maps, its batch."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmcv import imfrombytes
from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from rich.progress import track
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .checks import REMOTE, datasets_in, missing_files, segmentation_heads, unwrapped


def check_segmentation(runner: Runner, *loaders: str) -> None:
    """Check the data sets of a segmenter; of other models, nothing.

    Every label map is read, by each process its share.

    Args:
        runner: Of an mmseg config.
        loaders: Which data loaders: 'train', 'val', 'test'.

    Raises:
        ValueError: A data set is empty, an image has no label map, a label map is no map of the
            data set's classes, the heads have another number of classes, or a batch to train on is
            too small for BatchNorm.
    """
    model = unwrapped(runner.model)
    if not hasattr(model, 'decode_head'):
        return
    for loader in loaders:
        cfg = runner.cfg.get(f'{loader}_dataloader')
        for settings in datasets_in(cfg):
            dataset = DATASETS.build(dict(settings, lazy_init=True))
            label_maps = label_maps_of(dataset)
            if label_maps:
                check_classes(model, dataset)
                check_label_maps(label_maps, dataset)
    if 'train' in loaders:
        check_pooled_batch(model, smallest_batch(runner.cfg.train_dataloader))


def label_maps_of(dataset: BaseDataset) -> list[Path]:
    """Their files; none where they are on a server, or are for something else than classes."""
    infos = dataset.load_data_list()
    if not infos:
        where = f'the image folder {dataset.data_prefix.get("img_path")}'
        raise ValueError(f'{where} has no file whose name ends in {dataset.img_suffix}')
    paths = [info['seg_map_path'] for info in infos if info.get('seg_map_path')]
    remote = dataset.backend_args is not None or any(REMOTE in path for path in paths[:1])
    return [] if remote or not dataset.metainfo.get('classes') else [Path(path) for path in paths]


def check_classes(model: nn.Module, dataset: BaseDataset) -> None:
    number = len(dataset.metainfo['classes'])
    for name, head in segmentation_heads(model):
        if head.num_classes != number:
            raise ValueError(
                f'the {name} has num_classes={head.num_classes}, but the data set '
                f'{type(dataset).__name__} has {number} classes'
            )


def check_label_maps(paths: list[Path], dataset: BaseDataset) -> None:
    missing = missing_files(paths)
    if missing:
        raise ValueError(f'{len(missing)} images have no label map, the first missing is {missing[0]}')
    paths = paths[get_rank() :: get_world_size()]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda path: wrong_label_map(path, dataset), paths)
        for sentence in track(found, 'checking label maps', len(paths), disable=get_rank() > 0):
            if sentence:
                pool.shutdown(cancel_futures=True)
                raise ValueError(sentence)


def wrong_label_map(path: Path, dataset: BaseDataset) -> str | None:
    """A sentence about what is wrong with a label map, if anything is."""
    try:
        ids = imfrombytes(path.read_bytes(), flag='unchanged', backend='pillow')
    except (OSError, SyntaxError) as error:  # Pillow's for what is no image, and for broken PNG
        return f'the label map {path} cannot be read: {error}'
    if ids.ndim != 2:
        return f'the label map {path} has the shape {ids.shape}; it must be one channel of class ids'
    # A label_map of mmseg's has the ids on disk where the config selects classes.
    number = len(dataset.label_map or dataset.metainfo['classes'])
    first = 1 if dataset.reduce_zero_label else 0
    ignored = {0, dataset.ignore_index} if dataset.reduce_zero_label else {dataset.ignore_index}
    strange = set(ids[(ids < first) | (ids >= first + number)].tolist()) - ignored
    if not strange:
        return None
    return (
        f'the label map {path} has the id {min(strange)}; the {number} classes have the ids {first} to '
        f'{first + number - 1}, and {" and ".join(map(str, sorted(ignored)))} is for what has none'
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
    """Check that BatchNorm has more than one value per channel where the whole image is pooled."""
    for name, pooled in pooled_norms(model):
        number = images * (get_world_size() if isinstance(pooled, nn.SyncBatchNorm) else 1)
        if number == 1:
            raise ValueError(
                f'{name} normalises one value per channel where a batch has one image, and cannot be '
                f'trained on that; set train_dataloader.batch_size to 2 or more, and '
                f'train_dataloader.drop_last=True where one image is left over'
            )


def pooled_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The BatchNorms after a pooling to 1x1, with their names."""
    for name, module in model.named_modules():
        first = module[0] if isinstance(module, nn.Sequential) and len(module) else None
        if isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1)):
            for part, norm in module.named_modules():
                if isinstance(norm, _BatchNorm):
                    yield f'{name}.{part}', norm
