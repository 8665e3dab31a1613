"""Pre-flight check of the data: annotation files and images of a config's data loaders."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmcednet.config_files import get_type, iter_dicts, list_configs
from mmcednet.images import list_images
from mmcednet.wording import list_first

from .annotations import check_annotations
from .coco_format import CUT, find_category_ids, read_coco
from .image_files import check_image_files, reads_by_default
from .limits import list_limits, log_empty_images, warn_about_limits
from .objects import Use

REMOTE = '://'
IMAGENET = ('ImageNet', 'ImageNet21k')  # whose split is a folder
COCO_METRICS = ('CocoMetric', 'CrowdedCocoMetric')


def check_data(cfg: Config, *loaders: str) -> None:
    """Check annotation files and images of mmdet's COCO datasets, and that those of others exist.

    An image with more objects than the model's limits let it find is logged as a warning.

    Args:
        cfg: Config with the data loaders and, for mmdet, the model.
        loaders: Data loaders to check: 'train', 'val', 'test'.

    Raises:
        ValueError: A folder, an annotation file or an image does not exist, or an annotation file is
            not valid JSON or not of COCO's format, has other categories than the config's classes or in
            another order, or has errors, see :func:`check_annotations`.
    """
    checked: dict[str, set[Path]] = {}  # the images of a dataset, by its settings
    limits = list(list_limits(cfg.get('model')))
    splits: dict[str, set[Path]] = {loader: set() for loader in loaders}
    for loader in loaders:
        metrics = list_metrics(cfg, loader)
        for dataset in iter_datasets(cfg.get(f'{loader}_dataloader')):
            key = str((dataset, metrics))
            if key not in checked:
                checked[key] = check_dataset(dataset, metrics, limits)
            splits[loader] |= checked[key]
    warn_about_shared_images(splits)


def check_dataset(
    dataset: dict, metrics: list[dict], limits: Sequence[tuple[str, int]] = ()
) -> set[Path]:
    """Check the files of a dataset; return its images, as far as they are known.

    Args:
        dataset: The dataset's config.
        metrics: The metrics by which pycocotools evaluates it.
        limits: The model's limits, as of :func:`list_limits`.
    """
    name, folder = str(dataset.get('ann_file') or ''), get_image_folder(dataset)
    if dataset.get('backend_args') is not None or REMOTE in f'{name}{folder}':
        return set()
    ann_file = join_data_root(dataset, name)
    if name.endswith('.json') and reads_coco(dataset):
        return check_coco(dataset, Path(ann_file), Path(folder or ''), metrics, limits)
    if name and not os.path.exists(ann_file):
        raise ValueError(f'the annotation file {ann_file} does not exist')
    if folder is not None and not os.path.isdir(folder):
        raise ValueError(f'the image folder {folder} does not exist')
    if folder is not None and get_type(dataset) == 'CustomDataset' and not name:
        return check_class_folders(dataset, Path(folder))
    return set()


def reads_coco(dataset: dict) -> bool:
    """Whether a dataset is mmdet's for COCO's format; LVIS's has URLs in place of file names."""
    try:
        from mmdet.datasets import CocoDataset, LVISV1Dataset
        from mmdet.registry import DATASETS
    except ImportError:
        return False
    kind = dataset.get('type')
    kind = kind if isinstance(kind, type) else DATASETS.get(str(kind))
    is_class = isinstance(kind, type)
    return is_class and issubclass(kind, CocoDataset) and not issubclass(kind, LVISV1Dataset)


def warn_about_shared_images(splits: dict[str, set[Path]]) -> None:
    """Log a warning if images of another split are those of the split 'train', too."""
    for split, paths in splits.items():
        both = sorted(paths & splits.get('train', set())) if split != 'train' else []
        if both:
            print_log(
                f'{len(both)} images are in the training and in the {split} data, so that its metrics '
                f'are too good: {list_first(both, 1)}',
                'current',
                logging.WARNING,
            )


def check_class_folders(dataset: dict, folder: Path) -> set[Path]:
    """Check the images of a folder with a folder per class; return these."""
    folder = Path(os.path.realpath(folder))
    paths = list_images(folder, deep=True)
    if reads_by_default(dataset.get('pipeline')):
        check_image_files(paths, str(folder))
    return set(paths)


def iter_datasets(node: object) -> Iterator[dict]:
    """Iterate over all dataset configs in a data loader's config, including wrapped ones."""
    for part in iter_dicts(node):
        if not {'ann_file', 'data_root', 'data_prefix'}.isdisjoint(part):
            yield part


def join_data_root(dataset: dict, path: str) -> str:
    return os.path.join(dataset.get('data_root') or '', path)


def get_image_folder(dataset: dict) -> str | None:
    """The folder of a dataset's images; None if the dataset itself knows where they are."""
    prefix = dataset.get('data_prefix') or {}
    if not prefix and 'split' in dataset:
        if get_type(dataset) not in IMAGENET:
            return None
        prefix = dataset['split']
    if isinstance(prefix, str):
        return join_data_root(dataset, prefix)
    return join_data_root(dataset, prefix.get('img') or prefix.get('img_path') or '')


def check_coco(
    dataset: dict,
    ann_file: Path,
    images: Path,
    metrics: list[dict],
    limits: Sequence[tuple[str, int]] = (),
) -> set[Path]:
    """Check an annotation file in COCO format and the existence of its images; return these.

    Args:
        dataset: The dataset's config.
        ann_file: Its annotation file.
        images: Its folder of images.
        metrics: The metrics by which pycocotools evaluates it.
        limits: The model's limits, as of :func:`list_limits`.
    """
    content = read_coco(ann_file)
    trained = not dataset.get('test_mode') and loads_labels(dataset)
    if (metrics or trained) and not content.get('annotations'):
        raise ValueError(f'the annotation file {ann_file} has no annotations')
    content.setdefault('annotations', [])
    is_coco = get_type(dataset) == 'CocoDataset'
    classes = find_dataset_classes(dataset, is_coco)
    if classes:
        check_categories(content, ann_file, classes, is_coco)
    check_masks(dataset, content, ann_file, classes)
    paths = [images / image['file_name'] for image in content['images']]
    missing = find_missing_files(paths)
    if missing:
        raise ValueError(describe_missing(missing, ann_file))
    if is_coco:
        use = Use(
            classes,
            trained=trained,
            metrics=find_kinds(metrics),
            with_masks=loads_masks(dataset),
            min_size=(dataset.get('filter_cfg') or {}).get('min_size', 0),
        )
        check_annotations(content, ann_file, images, use)
        warn_about_limits(content, ann_file, classes, limits)
        if use.trained:
            log_empty_images(content, ann_file, classes, dataset.get('filter_cfg'))
        for metric in metrics:
            check_metric_file(content, ann_file, metric)
    if reads_by_default(dataset.get('pipeline')):
        check_image_files(paths, str(ann_file))
    return set(paths)


def find_dataset_classes(dataset: dict, is_coco: bool) -> tuple[str, ...]:
    """Classes of a dataset: the config's, or those of COCO for a ``CocoDataset`` without."""
    classes = (dataset.get('metainfo') or {}).get('classes')
    if isinstance(classes, str):
        return (classes,)
    if classes or not is_coco:
        return tuple(classes or ())
    from mmdet.datasets import CocoDataset

    return CocoDataset.METAINFO['classes']


def check_categories(content: dict, ann_file: Path, classes: tuple[str, ...], is_coco: bool) -> None:
    """Check that a file has the config's classes, in their order.

    Args:
        content: The file's content.
        ann_file: The file.
        classes: The config's classes.
        is_coco: Whether it is mmdet's ``CocoDataset``, which numbers classes in the file's order; for
            other datasets, another order is logged as a warning.

    Raises:
        ValueError: It has not.
    """
    names = [category['name'] for category in content['categories'] if category['name'] in classes]
    if not names:
        raise ValueError(f'the annotation file {ann_file} has none of the classes {classes}')
    if names == list(classes):
        return
    missing = [name for name in classes if name not in names]
    if missing:
        problem = f"its categories lack {', '.join(map(repr, missing))} of the config's classes"
    else:
        index = next(index for index, name in enumerate(names) if name != classes[index])
        problem = (
            f"its category {names[index]!r} stands where the config's classes have {classes[index]!r}"
        )
    message = (
        f'{ann_file}: {problem}; mmdet numbers classes in the order of the file, so that labels would '
        f'mean other classes: write all of the classes into its categories, in the order of the config'
    )
    if is_coco:
        raise ValueError(message)
    print_log(message, 'current', logging.WARNING)


def list_metrics(cfg: Config, loader: str) -> list[dict]:
    """The configs of the metrics by which pycocotools evaluates a data loader."""
    evaluators = list_configs(cfg.get(f'{loader}_evaluator'))
    coco = [item for item in evaluators if get_type(item) in COCO_METRICS]
    return [item for item in coco if not item.get('format_only')]


def find_kinds(metrics: list[dict]) -> frozenset[str]:
    """What metrics evaluate: 'bbox', 'segm'."""
    kinds = [item.get('metric', 'bbox') for item in metrics]
    return frozenset(kind for kind in kinds for kind in ([kind] if isinstance(kind, str) else kind))


def check_metric_file(content: dict, ann_file: Path, metric: dict) -> None:
    """Check that a metric's annotation file has the images that are predicted on.

    Raises:
        ValueError: It does not exist, or lacks images.
    """
    path = str(metric.get('ann_file') or ann_file)
    if REMOTE in path or os.path.abspath(path) == os.path.abspath(ann_file):
        return
    known = {image['id'] for image in read_coco(Path(path))['images']}
    missing = [image['id'] for image in content['images'] if image.get('id') not in known]
    if missing:
        raise ValueError(
            f"CocoMetric's ann_file {path} lacks {len(missing)} images of the dataset's {ann_file}, "
            f'the first with the id {CUT.repr(missing[0])}; both must be the same file'
        )


def loads_labels(dataset: dict) -> bool:
    """Whether a pipeline loads labels, as all do but that of unlabelled images."""
    steps = list(map(get_type, dataset.get('pipeline') or ()))
    return 'LoadEmptyAnnotations' not in steps


def list_mask_steps(dataset: dict) -> list[dict]:
    """The steps of a pipeline that load masks."""
    steps = [step for step in dataset.get('pipeline') or () if get_type(step) == 'LoadAnnotations']
    return [step for step in steps if step.get('with_mask')]


def loads_masks(dataset: dict) -> bool:
    return bool(list_mask_steps(dataset))


def check_masks(dataset: dict, content: dict, ann_file: Path, classes: tuple[str, ...]) -> None:
    """Check that each object has a mask if the pipeline loads masks, and one that it does not ignore.

    Raises:
        ValueError: A mask is missing, or is not a polygon although the pipeline reads only these.
    """
    steps = list_mask_steps(dataset)
    polygons = any(not step.get('poly2mask', True) for step in steps)
    used = find_category_ids(content, classes)
    for item in content['annotations']:
        mask, name = item.get('segmentation'), f'annotation {item.get("id")}'
        if steps and not mask and item.get('category_id') in used:
            raise ValueError(
                f'{ann_file}: {name} has no segmentation, which LoadAnnotations needs for its masks'
            )
        if polygons and isinstance(mask, dict) and not item.get('iscrowd'):
            raise ValueError(
                f'{ann_file}: the mask of {name} is not a polygon, so that LoadAnnotations would '
                'ignore it; set its poly2mask=True'
            )


def describe_missing(images: Sequence[Path], ann_file: Path) -> str:
    """Say which images of an annotation file do not exist."""
    if len(images) == 1:
        return f'the image {images[0]} of {ann_file} does not exist'
    return f'{len(images)} images of {ann_file} do not exist, the first is {images[0]}'


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
