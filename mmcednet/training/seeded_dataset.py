"""A dataset whose random draws can be repeated, and which replaces images that cannot be used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmcednet.images import ImageError

from .seeding import seed_sample

# An index of SeededDataset is EPOCH_STRIDE x epoch + index in the dataset
EPOCH_STRIDE = 2**40
MAX_REPLACEMENTS = 20


@DATASETS.register_module()
class SeededDataset:
    """A wrapper that draws random numbers from (seed, epoch, index) for each sample.

    So a sample does not depend on the number of workers or on a training being resumed, and differs
    from epoch to epoch. :class:`ResumableBatchSampler` gives it indices with the epoch.

    A sample with an image or label map that cannot be used is replaced by another one, drawn at
    random, whose ``data_samples`` has the file in its metainfo under 'unusable'.

    Args:
        dataset: The wrapped dataset or its config. Its other attributes can be read here too.
        seed: Default: 0; the train loops set the runner's.
    """

    def __init__(self, dataset: BaseDataset | dict, seed: int = 0) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # not there yet while a copy is made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def metainfo(self) -> dict[str, Any]:
        """The dataset's, and the ids of its classes under 'category_ids' if its files have such.

        mmengine saves it in checkpoints, so that predictions can have the ids of the annotations.
        """
        ids = find_category_ids(self.dataset)
        return self.dataset.metainfo | (dict(category_ids=ids) if ids else {})

    @property
    def pipeline(self) -> Any:
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:  # mmdet's PipelineSwitchHook
        self.dataset.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Load a sample.

        Args:
            index: EPOCH_STRIDE x epoch + index in the dataset.

        Raises:
            ImageError: Twenty samples in a row cannot be used.
        """
        epoch, index = divmod(index, EPOCH_STRIDE)
        files: list[str] = []
        with seed_sample(self.seed, epoch, index):
            while len(files) < MAX_REPLACEMENTS:
                try:
                    return mark(self.dataset[index], files)
                except ImageError as error:
                    reason = str(error)
                    files.append(str(error.path))
                except Exception:
                    # errors of reading a label map are of any type
                    damaged = find_damaged(self.list_files(index))
                    if damaged is None:
                        raise
                    reason = f'{damaged} is not an image, or is damaged'
                    files.append(damaged)
                index = np.random.randint(len(self))
        raise ImageError(f'{MAX_REPLACEMENTS} images in a row cannot be used; the last one: {reason}')

    def list_files(self, index: int) -> list[str]:
        """Label map and image of a sample."""
        info = self.dataset.get_data_info(index)
        return [info[key] for key in ('seg_map_path', 'img_path') if info.get(key)]


def find_category_ids(dataset: Any) -> list[Any] | None:
    """The classes' ids in the annotation file, in the order of the classes; None if there are none.

    Args:
        dataset: One of mmdet's in COCO's format, also within wrappers; of several, the first counts.
    """
    while not hasattr(dataset, 'cat_ids') and (inner := find_inner(dataset)) is not None:
        dataset = inner
    return list(getattr(dataset, 'cat_ids', ())) or None


def find_inner(dataset: Any) -> Any:
    """The dataset that a wrapper has, the first of several; None if it is no wrapper."""
    several = getattr(dataset, 'datasets', None)
    return several[0] if several else getattr(dataset, 'dataset', None)


def find_damaged(files: Sequence[str]) -> str | None:
    """Return the first of the files that does not exist or is not an image."""
    for file in files:
        if '://' not in file and not is_image(Path(file)):
            return file
    return None


def is_image(path: Path) -> bool:
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    except (OSError, cv2.error):
        return False


def mark(results: Any, files: Sequence[str]) -> Any:
    """Note in a sample which files it replaces."""
    if not files:
        return results
    if isinstance(results, dict) and 'data_samples' in results:
        results['data_samples'].set_metainfo(dict(unusable=list(files)))
    else:
        print_log(f'{files[0]} cannot be used; another image replaces it', 'current')
    return results
