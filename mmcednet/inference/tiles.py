"""Predictions on large images, computed on overlapping tiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from .predict import Predictor, get_boxes

SAME = 0.5  # IoU from which detections of neighbouring tiles are one object


@dataclass(frozen=True)
class Tile:
    """A part of an image, in pixels; its core is what no other tile is responsible for.

    Attributes:
        left, top, right, bottom: The tile.
        core: Left, top, right and bottom of the core. The cores of all tiles are the image.
    """

    left: int
    top: int
    right: int
    bottom: int
    core: tuple[int, int, int, int]


def place_tiles(height: int, width: int, size: int, overlap: int) -> Iterator[Tile]:
    """Cover an image with tiles of one size that overlap by at least ``overlap`` pixels."""
    for top, bottom, core_top, core_bottom in divide(height, size, overlap):
        for left, right, core_left, core_right in divide(width, size, overlap):
            yield Tile(left, top, right, bottom, (core_left, core_top, core_right, core_bottom))


def divide(length: int, size: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Divide a side of an image: start and end of each tile, start and end of its core."""
    if length <= size:
        return [(0, length, 0, length)]
    starts = [*range(0, length - size, size - overlap), length - size]
    middles = [(start + size + following) // 2 for start, following in pairwise(starts)]
    return [
        (start, start + size, core_start, core_end)
        for start, core_start, core_end in zip(starts, [0, *middles], [*middles, length])
    ]


def predict_tiles(
    predictor: Predictor,
    image: np.ndarray,
    size: int,
    overlap: int | None = None,
    score: float = 0.0,
    batch: int = 1,
) -> Any:
    """Predict on the tiles of an image, and join the predictions.

    Of each tile those detections are kept whose centre is in its core, which ends in the middle of the
    overlap. An object that is at most as large as the overlap is whole in the tile whose core has its
    centre, and the centres of its parts in other tiles are outside of their cores, so it is found once,
    and whole. A segmenter's label map consists of the cores.

    Args:
        predictor: A detector or segmenter.
        image: (H, W, 3), uint8, BGR.
        size: Side of a tile, in pixels.
        overlap: Of neighbouring tiles, in pixels. Default: a quarter of ``size``.
        score: Lowest score of a detection.
        batch: Number of tiles that the network computes at once.

    Returns:
        A sample of the toolbox for the whole image. The masks of N detections take N x H x W bytes.

    Raises:
        ValueError: The model is a classifier; ``size`` is below 1 or ``overlap`` not below it.
    """
    overlap = check_tiles(predictor, size, overlap)
    height, width = image.shape[:2]
    tiles = list(place_tiles(height, width, size, overlap))
    samples: list[Any] = []
    for start in range(0, len(tiles), batch):
        parts = [image[t.top : t.bottom, t.left : t.right] for t in tiles[start : start + batch]]
        found = predictor.predict([np.ascontiguousarray(part) for part in parts])
        samples += [predictor.select(sample, score) for sample in found]
    joined = type(samples[0])(metainfo=dict(ori_shape=(height, width)))
    if predictor.task == 'segmenter':
        joined.pred_sem_seg = PixelData(data=join_label_maps(samples, tiles, height, width))
    else:
        joined.pred_instances = join_instances(samples, tiles, height, width)
    return joined


def check_tiles(predictor: Predictor, size: int, overlap: int | None) -> int:
    """Check the arguments of :func:`predict_tiles`; return the overlap."""
    if predictor.task == 'classifier':
        raise ValueError('tiles are for detectors and segmenters; this is a classifier')
    if size < 1:
        raise ValueError(f'tiles of {size} pixels are too small; choose the size of training images')
    overlap = size // 4 if overlap is None else overlap
    if not 0 <= overlap < size:
        raise ValueError(f'the overlap {overlap} must be from 0 to below {size}, the size of tiles')
    return overlap


def join_label_maps(samples: list[Any], tiles: list[Tile], height: int, width: int) -> torch.Tensor:
    """Join the cores of label maps: (1, H, W)."""
    joined = samples[0].pred_sem_seg.data.new_empty(1, height, width)
    for sample, tile in zip(samples, tiles):
        left, top, right, bottom = tile.core
        part = sample.pred_sem_seg.data[
            :, top - tile.top : bottom - tile.top, left - tile.left : right - tile.left
        ]
        joined[:, top:bottom, left:right] = part
    return joined


def join_instances(samples: list[Any], tiles: list[Tile], height: int, width: int) -> InstanceData:
    """Join detections, the highest scores first; masks become (N, H, W), bool."""
    from torchvision.ops import batched_nms

    moved = [move(sample.pred_instances, tile) for sample, tile in zip(samples, tiles)]
    joined = InstanceData.cat([instances for instances, _ in moved])
    order = batched_nms(joined.bboxes.float(), joined.scores, joined.labels, SAME)
    joined = joined[order]
    places = [
        (tile, mask)
        for tile, (_, masks) in zip(tiles, moved)
        for mask in ([] if masks is None else masks)
    ]
    if any(masks is not None for _, masks in moved):
        whole = torch.zeros(len(order), height, width, dtype=torch.bool)
        for canvas, index in zip(whole, order.tolist()):
            tile, mask = places[index]
            canvas[tile.top : tile.bottom, tile.left : tile.right] = mask
        joined.masks = whole
    return joined


def move(instances: InstanceData, tile: Tile) -> tuple[InstanceData, torch.Tensor | None]:
    """Move the detections of a tile's core into the image; return its masks (n, h, w) as they are."""
    boxes = get_boxes(instances)
    masks = torch.as_tensor(instances.masks).bool() if 'masks' in instances else None
    boxes = boxes + boxes.new_tensor([tile.left, tile.top] * 2)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = tile.core
    keep = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    moved = InstanceData(
        bboxes=boxes[keep], scores=instances.scores[keep], labels=instances.labels[keep]
    )
    return moved, None if masks is None else masks[keep]
