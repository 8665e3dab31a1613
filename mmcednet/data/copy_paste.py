"""Copy-paste augmentation with boxes, after Ghiasi et al. (2021).

``PairedDataset`` draws a second image in the workers of the data loader; ``BoxCopyPaste`` pastes
rectangles of it into the first one::

    train_dataloader = dict(dataset=dict(
        type='PairedDataset', prob=0.5,
        dataset=dict(type='CocoDataset', pipeline=[...]),  # loads, jitters, pads to one size
        pipeline=[dict(type='BoxCopyPaste'), dict(type='PackDetInputs')]))
"""

from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS, TRANSFORMS

MAX_DRAWS = 100


@DATASETS.register_module()
class PairedDataset:
    """A wrapper that draws, with a given probability, a second random sample for each sample.

    Not mmdet's ``MultiImageMixDataset``, which deep-copies all images and annotations before every
    transform.

    Args:
        dataset: The wrapped dataset or its config; its pipeline must not pack the results.
        pipeline: Transforms applied to the results. They find the second sample in the list
            ``mix_results``, which is empty if none was drawn.
        prob: Probability of drawing a second sample. Default: 0.5.

    Raises:
        ValueError: ``prob`` is not in [0, 1], the dataset has fewer than two samples, or no sample
            of another image is found.
    """

    def __init__(
        self, dataset: BaseDataset | dict, pipeline: Sequence[dict], prob: float = 0.5
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob {prob} must be in [0, 1]')
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.pipeline = Compose(pipeline)
        self.prob = prob
        if prob and len(self.dataset) < 2:
            raise ValueError(
                f'pairing needs at least 2 samples, but the dataset has {len(self.dataset)}'
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
        draw = np.random.random() < self.prob
        results['mix_results'] = [self.draw_other(results)] if draw else []
        return self.pipeline(results)

    def draw_other(self, results: dict) -> dict:
        """Draw a random sample of a different image than ``results``."""
        for _ in range(MAX_DRAWS):
            # Images, not indices: a dataset replaces a sample for which its pipeline returns None.
            other = self.dataset[np.random.randint(len(self))]
            if other['img_path'] != results['img_path']:
                return other
        raise ValueError(f'found no second image for {results["img_path"]} in {MAX_DRAWS} draws')


@TRANSFORMS.register_module()
class BoxCopyPaste:
    """Pastes rectangles around objects of a second image.

    The candidates are the boxes of the second image whose IoU with every box of the first image is
    below ``max_iou``, without crowd regions and others with an ignore flag. Up to ``max_pasted`` of
    them are chosen at random. Each side of a chosen box is moved outwards by 0 to ``margin`` px, but
    not beyond the image, and the pixels of this rectangle are copied. The box, its label and, if there
    are masks, its mask are added to the ground truth; covered objects keep theirs.

    Takes and returns mmdet's results: ``img`` (H, W, 3), ``gt_bboxes``, ``gt_bboxes_labels``,
    ``gt_ignore_flags`` and optionally ``gt_masks``. ``mix_results`` is removed: a list with the results
    of the second image, or an empty list, which leaves the image unchanged.

    Args:
        max_iou: A candidate's IoU with each box of the first image is below this. Default: 0.2.
        max_pasted: Maximum number of pasted boxes. Default: 7.
        margin: Maximum margin on each side in px. Default: 15.

    Raises:
        ValueError: The two images differ in size, or only one of them has masks.
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
        """Raise a ValueError if the two images differ in size or in having masks."""
        if results['img'].shape != source['img'].shape:
            raise ValueError(
                f'{source["img_path"]} of shape {source["img"].shape} cannot be pasted into '
                f'{results["img_path"]} of shape {results["img"].shape}; pad both to the same size'
            )
        if ('gt_masks' in results) != ('gt_masks' in source):
            raise ValueError(f'only one of {results["img_path"]} and {source["img_path"]} has masks')

    def choose(self, results: dict, source: dict) -> np.ndarray:
        """Choose the boxes of ``source`` to paste; returns their indices (k,)."""
        boxes, candidates = results['gt_bboxes'], source['gt_bboxes']
        free = ~source['gt_ignore_flags'].astype(bool)
        if len(boxes) and len(candidates):
            overlaps = boxes.overlaps(candidates, boxes).numpy()  # (len(candidates), len(boxes))
            free &= overlaps.max(axis=1) < self.max_iou
        indices = np.flatnonzero(free)
        return np.random.permutation(indices)[: self.max_pasted]

    def paste(self, img: np.ndarray, source: dict, chosen: np.ndarray) -> np.ndarray:
        """Paste the rectangles of the chosen boxes (k,) into a copy of ``img`` (H, W, 3)."""
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
