"""Large-scale jitter that touches only the pixels that it returns.

The usual pipeline resizes the whole image, up to twice the output's size, and then crops it; with masks
as bitmaps it does so for each object. Here the image is cropped before it is resized, and masks stay
polygons until the last step::

    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
        dict(type='LargeScaleJitter', size=(1024, 1024), ratio_range=(0.1, 2.0)),
        ..., dict(type='RasterizePolygons'), dict(type='PackDetInputs')]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LargeScaleJitter:
    """Resizes an image by a random factor, and crops it randomly to a size.

    The same as mmdet's ``RandomResize(scale=size, ratio_range=ratio_range, keep_ratio=True)`` and
    ``RandomCrop(size, 'absolute', recompute_bbox=True, allow_negative_crop=True)``, up to the rounding
    of the crop to pixels of the image before instead of after resizing. Boxes are those of the cropped
    masks, if there are masks.

    Args:
        size: Width and height of a crop in px; images that are smaller after resizing stay smaller.
        ratio_range: Range of the factor, relative to the size at which the whole image fits in
            ``size``. Default: (0.1, 2.0).

    Raises:
        ValueError: ``ratio_range`` is not increasing or not positive.
    """

    def __init__(self, size: tuple[int, int], ratio_range: tuple[float, float] = (0.1, 2.0)) -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(f'ratio_range {ratio_range} must be two positive increasing numbers')
        self.size = tuple(size)
        self.lowest, self.highest = ratio_range

    def __call__(self, results: dict) -> dict | None:
        height, width = results['img'].shape[:2]
        ratio = np.random.uniform(self.lowest, self.highest)
        longest, shortest = max(self.size), min(self.size)
        scale = ratio * min(longest / max(height, width), shortest / min(height, width))
        if scale * width > self.size[0] or scale * height > self.size[1]:
            window = [max(1, round(side / scale)) for side in self.size]
            results = build(
                'RandomCrop', crop_size=window, recompute_bbox=True, allow_negative_crop=True
            )(results)
            height, width = results['img'].shape[:2]
        target = [
            max(1, min(side, round(scale * length))) for side, length in zip(self.size, (width, height))
        ]
        return build('Resize', scale=target, keep_ratio=False)(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, ratio_range={(self.lowest, self.highest)})'


@TRANSFORMS.register_module()
class RasterizePolygons:
    """Turns the polygons of ``gt_masks`` into bitmaps, which detectors train on; bitmaps stay."""

    def __call__(self, results: dict) -> dict:
        from mmdet.structures.mask import BitmapMasks, PolygonMasks

        polygons = results.get('gt_masks')
        if isinstance(polygons, PolygonMasks):
            height, width = polygons.height, polygons.width
            masks = BitmapMasks([], height, width)
            masks.masks = rasterize(polygons.masks, height, width)  # the constructor would copy it
            results['gt_masks'] = masks
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def rasterize(objects: Sequence[Sequence[np.ndarray]], height: int, width: int) -> np.ndarray:
    """Draw objects of one or more polygons, as pycocotools does, each in its own part of the image.

    Args:
        objects: Polygons (x1, y1, x2, y2, ...) of each object, in px.
        height: Height of the image.
        width: Width of the image.

    Returns:
        (len(objects), height, width), uint8, 0 or 1.
    """
    from pycocotools import mask as coco_mask

    bitmaps = np.zeros((len(objects), height, width), np.uint8)
    limits = np.array([width, height])
    for bitmap, polygons in zip(bitmaps, objects):
        points = np.concatenate(polygons).reshape(-1, 2)
        x1, y1 = start = np.clip(np.floor(points.min(0)).astype(int), 0, limits)
        x2, y2 = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, limits)
        if x1 < x2 and y1 < y2:
            shifted = [(polygon.reshape(-1, 2) - start).ravel().tolist() for polygon in polygons]
            parts = coco_mask.frPyObjects(shifted, int(y2 - y1), int(x2 - x1))
            bitmap[y1:y2, x1:x2] = coco_mask.decode(coco_mask.merge(parts))
    return bitmaps


def build(name: str, **settings: Any) -> Any:
    """Build a transform of mmdet."""
    return TRANSFORMS.build(dict(type=f'mmdet.{name}', **settings))
