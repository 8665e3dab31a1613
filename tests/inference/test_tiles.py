"""Tiles: objects as drawn are found once and whole, also across the borders of tiles."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from scipy import ndimage

from mmcednet.inference.predict import Detector, Segmenter
from mmcednet.inference.tiles import place_tiles, predict_tiles

HEIGHT, WIDTH, SIZE = 330, 410, 128


class BlobDetector(Detector):
    """Finds white blobs by their connected pixels, with boxes and masks."""

    def __init__(self):
        self.classes = ('blob',)

    def predict(self, images):
        from mmdet.structures import DetDataSample

        samples = []
        for image in images:
            found, number = ndimage.label(image[..., 0] > 0)
            masks = torch.from_numpy(found == np.arange(1, number + 1)[:, None, None])
            slices = ndimage.find_objects(found)
            boxes = [[x.start, y.start, x.stop, y.stop] for y, x in slices]
            instances = InstanceData(
                bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                scores=masks.flatten(1).sum(1) / 1e4,
                labels=torch.zeros(number, dtype=torch.long),
                masks=masks,
            )
            samples.append(DetDataSample(pred_instances=instances))
        return samples


class ThresholdSegmenter(Segmenter):
    def __init__(self):
        self.classes = ('dark', 'bright')

    def predict(self, images):
        from mmseg.structures import SegDataSample

        maps = [torch.from_numpy((image[..., :1] > 100).astype(np.int64)) for image in images]
        return [SegDataSample(pred_sem_seg=PixelData(data=m.permute(2, 0, 1))) for m in maps]


@pytest.fixture
def blobs():
    """Blobs of at most 30 px, some pixels apart: an image, and their boxes."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    random = np.random.default_rng(3)
    boxes = []
    for top in range(1, HEIGHT - 32, 37):
        for left in range(1, WIDTH - 32, 37):
            height, width = random.integers(22, 31, 2).tolist()
            image[top : top + height, left : left + width] = 255
            boxes.append([left, top, left + width, top + height])
    return image, boxes


def test_cores_are_the_image():
    covered = np.zeros((HEIGHT, WIDTH), int)
    for tile in place_tiles(HEIGHT, WIDTH, SIZE, SIZE // 4):
        left, top, right, bottom = tile.core
        assert tile.right - tile.left == tile.bottom - tile.top == SIZE
        assert tile.left <= left < right <= tile.right and tile.top <= top < bottom <= tile.bottom
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()
    for height, width in ((50, 60), (SIZE // 4, SIZE), (1, SIZE // 4)):
        (tile,) = place_tiles(height, width, SIZE, SIZE // 4)
        assert (tile.right, tile.bottom, tile.core) == (width, height, (0, 0, width, height))


def test_objects_cut_by_borders_are_found_once(blobs):
    pytest.importorskip('mmdet')
    image, boxes = blobs
    assert any(box[0] < 96 < box[2] for box in boxes)  # the left border of the second tile
    sample = predict_tiles(BlobDetector(), image, SIZE, batch=2)
    instances = sample.pred_instances
    assert sorted(instances.bboxes.int().tolist()) == sorted(boxes)
    assert instances.masks.shape == (len(boxes), HEIGHT, WIDTH)
    assert (instances.masks.sum(0).numpy() == (image[..., 0] > 0)).all()
    for mask, box in zip(instances.masks, instances.bboxes.int().tolist()):
        left, top, right, bottom = box
        assert mask[top:bottom, left:right].all()
    largest = (instances.scores * 1e4).max().item()
    found = predict_tiles(BlobDetector(), image, SIZE, score=largest / 1e4)
    assert (found.pred_instances.scores * 1e4 >= largest - 0.5).all()
    nothing = predict_tiles(BlobDetector(), np.zeros_like(image), SIZE)
    assert len(nothing.pred_instances) == 0


def test_label_maps_are_joined(blobs):
    pytest.importorskip('mmseg')
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    label_map = predict_tiles(ThresholdSegmenter(), image, SIZE).pred_sem_seg.data[0]
    np.testing.assert_array_equal(label_map, image[..., 0] > 100)


def test_impossible_tiles(load_small, blobs):
    with pytest.raises(ValueError, match=r'this is a classifier$'):
        predict_tiles(load_small('imagenet'), blobs[0], SIZE)
    with pytest.raises(ValueError, match='tiles of 0 pixels are too small'):
        predict_tiles(BlobDetector(), blobs[0], 0)
    with pytest.raises(ValueError, match='overlap 128 must be from 0 to below 128'):
        predict_tiles(BlobDetector(), blobs[0], SIZE, overlap=128)


def test_tiles_of_a_small_image_are_the_image(load_small, shapes):
    from mmcednet.inference.inputs import read_image

    detector = load_small('mask_rcnn')
    image = read_image(shapes / 'val' / '00000.png')
    (whole,) = detector.predict([image])
    tiled = detector.select(predict_tiles(detector, image, 64), 0.0)
    top = whole.pred_instances.scores.max()
    assert tiled.pred_instances.scores.max() == pytest.approx(top.item(), abs=1e-5)
    assert detector.draw(image, tiled).shape[0] == 64
    assert len(detector.describe(tiled)) == len(tiled.pred_instances) > 0
