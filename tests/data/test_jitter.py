"""Large-scale jitter, compared with mmdet's resizing and cropping."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import TRANSFORMS, init_default_scope

from mmcednet.data import LargeScaleJitter, RasterizePolygons

HEIGHT, WIDTH = 60, 80
BOXES = [[5, 5, 25, 30], [40, 8, 70, 24], [20, 38, 60, 52]]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')
    np.random.seed(0)


def make_sample(masks=True):
    """Rectangles, each in a channel of its own, as polygons."""
    img = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(BOXES):
        img[y1:y2, x1:x2, channel] = 255
    results = dict(
        img=img,
        img_shape=img.shape[:2],
        gt_bboxes=HorizontalBoxes(torch.tensor(BOXES, dtype=torch.float32)),
        gt_bboxes_labels=np.array([0, 1, 2]),
        gt_ignore_flags=np.zeros(3, bool),
    )
    if masks:
        corners = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2], float)] for x1, y1, x2, y2 in BOXES]
        results['gt_masks'] = PolygonMasks(corners, HEIGHT, WIDTH)
    return results


@pytest.mark.parametrize('ratio', [0.3, 1.0])
def test_without_a_crop_it_is_a_resize(ratio):
    ours = LargeScaleJitter((64, 64), (ratio, ratio))(make_sample())
    scale = (round(64 * ratio), round(48 * ratio))
    theirs = TRANSFORMS.build(dict(type='Resize', scale=scale, keep_ratio=False))(make_sample())
    assert np.array_equal(ours['img'], theirs['img'])
    torch.testing.assert_close(ours['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor)


@pytest.mark.parametrize('size', [(64, 64), (50, 70), (90, 40)])
@pytest.mark.parametrize('masks', [False, True])
def test_pixels_boxes_and_masks_stay_together(size, masks):
    jitter, rasterize = LargeScaleJitter(size), RasterizePolygons()
    seen, cropped = 0, 0
    for _ in range(100):
        results = rasterize(jitter(make_sample(masks)))
        height, width = results['img'].shape[:2]
        assert results['img_shape'] == (height, width)
        assert height <= size[1] and width <= size[0]
        cropped += width == size[0] or height == size[1]
        for index, label in enumerate(results['gt_bboxes_labels']):
            x1, y1, x2, y2 = results['gt_bboxes'].tensor[index].tolist()
            if min(x2 - x1, y2 - y1) < 8:
                continue
            seen += 1
            colour = results['img'][..., label] > 127
            inside = colour[round(y1) : round(y2), round(x1) : round(x2)]
            assert inside.mean() > 0.75
            assert abs(colour.sum() - (x2 - x1) * (y2 - y1)) < 2 * (height + width)
            if masks:
                mask = results['gt_masks'].masks[index].astype(bool)
                assert mask.shape == (height, width)
                assert (mask & colour).sum() > 0.7 * (mask | colour).sum()
    assert seen > 50
    assert cropped > 20


def test_scales_are_those_of_the_usual_pipeline():
    """Mean and range of the share of the image that is seen, and of the size in px."""
    usual = [
        dict(type='RandomResize', scale=(64, 64), ratio_range=(0.1, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(64, 64), recompute_bbox=True, allow_negative_crop=True),
    ]
    pipelines = [[TRANSFORMS.build(step) for step in usual], [LargeScaleJitter((64, 64))]]
    counts = []
    for steps in pipelines:
        np.random.seed(0)
        sizes, objects = [], []
        for _ in range(400):
            results = make_sample()
            for step in steps:
                results = step(results)
            sizes.append(results['img'].shape[:2])
            objects.append(len(results['gt_bboxes']))
        counts.append([*np.mean(sizes, 0), np.mean(objects)])
    np.testing.assert_allclose(counts[0], counts[1], rtol=0.05)


def test_crop_of_an_enlarged_image():
    """It equals a part of the whole image, enlarged."""
    img = cv2.GaussianBlur(np.random.randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3)
    whole = cv2.resize(img, (128, 96)).astype(int)
    results = LargeScaleJitter((64, 64), (2.0, 2.0))(dict(make_sample(), img=img))
    assert results['img'].shape == (64, 64, 3)
    parts = (whole[y : y + 64, x : x + 64] for y in range(33) for x in range(65))
    error = min(abs(part - results['img']).mean() for part in parts)
    assert error < 1


def test_bitmaps_and_samples_without_masks_stay():
    masks = BitmapMasks(np.ones((1, 4, 4), np.uint8), 4, 4)
    assert RasterizePolygons()(dict(gt_masks=masks))['gt_masks'] is masks
    assert RasterizePolygons()({}) == {}


def test_rasterized_polygons_are_those_of_mmdet():
    rng = np.random.default_rng(0)
    objects = [
        [rng.uniform(-5, 45, 2) + rng.uniform(0, 30, (rng.integers(3, 9), 2)) for _ in range(parts)]
        for parts in (1, 1, 2, 3) * 20
    ]
    objects = [[polygon.clip(0, (50, 40)).ravel() for polygon in polygons] for polygons in objects]
    objects.append([np.zeros(6)])  # what a crop leaves of an object outside
    masks = PolygonMasks(objects, 40, 50)
    ours = RasterizePolygons()(dict(gt_masks=masks))['gt_masks']
    assert isinstance(ours, BitmapMasks)
    assert np.array_equal(ours.masks, masks.to_ndarray())
    assert ours.masks.any(axis=(1, 2)).sum() > 60


def test_empty_image():
    sample = make_sample()
    for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
        sample[key] = sample[key][np.zeros(3, bool)]
    results = RasterizePolygons()(LargeScaleJitter((64, 64), (2.0, 2.0))(sample))
    assert results['gt_masks'].masks.shape == (0, 64, 64)


def test_invalid_range():
    with pytest.raises(ValueError, match=r'ratio_range \(2, 1\) must be two positive'):
        LargeScaleJitter((64, 64), (2, 1))
