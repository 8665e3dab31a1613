"""Copy-paste by boxes, after Ghiasi et al. 2021: rectangles of one image pasted into another.

``PairedDataset`` draws the second image, inside the data loader's workers; ``BoxCopyPaste`` pastes::

    train_dataloader = dict(dataset=dict(
        type='PairedDataset', prob=0.5,
        dataset=dict(type='CocoDataset', pipeline=[...]),  # up to boxes in images of one size
        pipeline=[dict(type='BoxCopyPaste'), dict(type='PackDetInputs')]))
"""

from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS, TRANSFORMS

MAX_DRAWS = 100


@DATASETS.register_module()
class PairedDataset:
    """A data set whose samples come, with a probability, with another random sample.

    Args:
        dataset: The data set, or its config; its pipeline returns unpacked results.
        pipeline: Transforms for the result, which find the other sample in ``mix_results``, a list
            of one; it is empty where none was drawn.
        prob: Probability of drawing another sample. Default: 0.5.

    Raises:
        ValueError: ``prob`` is no probability, or there are no two samples to pair.
    """

    def __init__(
        self, dataset: BaseDataset | dict, pipeline: Sequence[dict], prob: float = 0.5
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob {prob} of a second image is not in [0, 1]')
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.pipeline = Compose(pipeline)
        self.prob = prob
        if prob and len(self.dataset) < 2:
            raise ValueError(
                f'the data set has {len(self.dataset)} samples, copy-paste needs two at least'
            )

    @property
    def metainfo(self) -> dict:
        return self.dataset.metainfo

    def full_init(self) -> None:
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> dict:
        return self.dataset.get_data_info(idx)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> dict:
        results = self.dataset[idx]
        paired = np.random.random() < self.prob
        results['mix_results'] = [self.another(results)] if paired else []
        return self.pipeline(results)

    def another(self, results: dict) -> dict:
        """A random sample, of another image than ``results``."""
        for _ in range(MAX_DRAWS):
            # Compared by their images: a data set may hand out another sample than it is asked for.
            other = self.dataset[np.random.randint(len(self))]
            if other['img_path'] != results['img_path']:
                return other
        raise ValueError(f'no image other than {results["img_path"]} was found to pair it with')


@TRANSFORMS.register_module()
class BoxCopyPaste:
    """Pastes rectangles around objects of a second image.

    Of the second image's boxes those count whose largest IoU with a box of the first is below
    ``max_iou``; up to ``max_pasted`` of them are drawn. Each is widened on every side by 0 to
    ``margin`` px, inside the image, and the pixels of that rectangle are copied. The box, its label
    and, where there are masks, its mask are added; what a rectangle covers stays in the ground truth.
    Crowd regions, and others to be ignored, are not pasted.

    Takes and returns mmdet's results: ``img`` (H, W, 3), ``gt_bboxes``, ``gt_bboxes_labels``,
    ``gt_ignore_flags``, perhaps ``gt_masks``, and ``mix_results``, the second image's results in a
    list, which is taken out; an empty list leaves the image as it is.

    Args:
        max_iou: Default: 0.2.
        max_pasted: Default: 7.
        margin: In px. Default: 15.

    Raises:
        ValueError: The two images differ in size, or only one has masks.
    """

    def __init__(self, max_iou: float = 0.2, max_pasted: int = 7, margin: int = 15) -> None:
        self.max_iou = max_iou
        self.max_pasted = max_pasted
        self.margin = margin

    def __call__(self, results: dict) -> dict:
        sources = results.pop('mix_results')
        if not sources:
            return results
        (source,) = sources
        self.check(results, source)
        chosen = self.choose(results, source)
        if not len(chosen):
            return results
        results['img'] = self.paste(results['img'], source, chosen)
        boxes = results['gt_bboxes']
        results['gt_bboxes'] = boxes.cat([boxes, source['gt_bboxes'][chosen]])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([results[key], source[key][chosen]])
        if 'gt_masks' in results:
            masks = results['gt_masks']
            results['gt_masks'] = masks.cat([masks, source['gt_masks'][chosen]])
        return results

    @staticmethod
    def check(results: dict, source: dict) -> None:
        if results['img'].shape != source['img'].shape:
            raise ValueError(
                f'{source["img_path"]} is of shape {source["img"].shape} and is to be pasted into '
                f'{results["img_path"]} of shape {results["img"].shape}; pad both to one size before'
            )
        if ('gt_masks' in results) != ('gt_masks' in source):
            raise ValueError(f'only one of {results["img_path"]} and {source["img_path"]} has masks')

    def choose(self, results: dict, source: dict) -> np.ndarray:
        """Indices (k,) of the boxes of ``source`` to paste."""
        boxes, candidates = results['gt_bboxes'], source['gt_bboxes']
        free = ~source['gt_ignore_flags'].astype(bool)
        if len(boxes) and len(candidates):
            overlaps = boxes.overlaps(candidates, boxes).numpy()  # (len(candidates), len(boxes))
            free &= overlaps.max(axis=1) < self.max_iou
        indices = np.flatnonzero(free)
        return np.random.permutation(indices)[: self.max_pasted]

    def paste(self, img: np.ndarray, source: dict, chosen: np.ndarray) -> np.ndarray:
        """A copy of ``img`` with the widened rectangles of the chosen boxes."""
        img = img.copy()
        height, width = img.shape[:2]
        boxes = source['gt_bboxes'][chosen].tensor.numpy()
        margins = np.random.randint(self.margin + 1, size=boxes.shape)
        for (x1, y1, x2, y2), (left, top, right, bottom) in zip(boxes, margins):
            rows = slice(max(int(y1) - top, 0), min(int(np.ceil(y2)) + bottom, height))
            columns = slice(max(int(x1) - left, 0), min(int(np.ceil(x2)) + right, width))
            img[rows, columns] = source['img'][rows, columns]
        return img

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_iou={self.max_iou}, max_pasted={self.max_pasted}, '
            f'margin={self.margin})'
        )
