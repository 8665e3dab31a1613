"""The AP of crowded images is pycocotools'."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS, init_default_scope
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import encode

import mmcednet.evaluation  # noqa: F401
from mmcednet.evaluation.crowded import average

SIDE, OBJECTS = 128, 120
COCO_STATS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def draw_boxes(number, seed):
    """Random boxes (x, y, width, height) in an image of 128 px."""
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 90, (number, 2)), rng.integers(6, 38, (number, 2))
    return np.concatenate([corner, size], 1).astype(float)


def draw_mask(box):
    mask = np.zeros((SIDE, SIDE), np.uint8, order='F')
    x, y, width, height = map(int, box)
    mask[y : y + height, x : x + width] = 1
    return encode(mask)


@pytest.fixture(scope='module')
def annotations(tmp_path_factory):
    """Two images of 120 objects each, of two classes."""
    items = []
    for image_id in (7, 8):
        for index, box in enumerate(draw_boxes(OBJECTS, image_id)):
            rle = draw_mask(box)
            rle['counts'] = rle['counts'].decode()
            item = dict(image_id=image_id, bbox=box.tolist(), area=box[2] * box[3], iscrowd=0)
            items.append(dict(item, id=len(items) + 1, category_id=index % 10 // 9, segmentation=rle))
    images = [dict(id=key, file_name=f'{key}.png', width=SIDE, height=SIDE) for key in (7, 8)]
    categories = [dict(id=key, name=name) for key, name in enumerate('ab')]
    path = tmp_path_factory.mktemp('crowded') / 'val.json'
    path.write_text(json.dumps(dict(images=images, annotations=items, categories=categories)))
    return path


def predict(path, noise):
    """Detections, in COCO's format: the objects, shifted by some px, and as many boxes of nothing."""
    items = json.loads(path.read_text())['annotations']
    rng = np.random.default_rng(1)
    found = []
    for item in items:
        near = np.array(item['bbox']) + rng.normal(0, noise, 4).round() * [1, 1, 0, 0]
        near[:2] = near[:2].clip(0)
        boxes = [near, draw_boxes(1, item['id'])[0]] if noise else [near]
        scores = rng.uniform(0, 1, 2) * [1, 0.8]
        for box, score in zip(boxes, scores):
            keys = dict(image_id=item['image_id'], category_id=item['category_id'])
            found.append(dict(keys, bbox=box.tolist(), score=score, segmentation=draw_mask(box)))
    return found


def evaluate(path, found, max_dets, kinds=('bbox', 'segm')):
    """The metrics of ``CrowdedCocoMetric``."""
    init_default_scope('mmdet')
    settings = dict(type='CrowdedCocoMetric', max_dets=max_dets, ann_file=str(path))
    metric = METRICS.build(dict(settings, metric=list(kinds)))
    metric.dataset_meta = dict(classes=('a', 'b'))
    samples = []
    for image_id in (7, 8):
        mine = [item for item in found if item['image_id'] == image_id]
        boxes = torch.tensor([item['bbox'] for item in mine], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        instances = dict(
            bboxes=boxes,
            scores=torch.tensor([item['score'] for item in mine], dtype=torch.float64),
            labels=torch.tensor([item['category_id'] for item in mine]),
            masks=[dict(item['segmentation']) for item in mine],
        )
        samples.append(dict(img_id=image_id, ori_shape=(SIDE, SIDE), pred_instances=instances))
    metric.process({}, samples)
    return metric.evaluate(size=2)


def compute_stats(path, found, kind, max_dets):
    """The summary of pycocotools, whose AP50 and so on are of the last number of detections."""
    coco = COCO(str(path))
    keys = ['image_id', 'category_id', 'score', 'bbox' if kind == 'bbox' else 'segmentation']
    evaluation = COCOeval(
        coco, coco.loadRes([{key: item[key] for key in keys} for item in found]), kind
    )
    evaluation.params.maxDets = max_dets
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [round(float(value), 3) for value in evaluation.stats]


def test_both_are_as_pycocotools_computes_them(annotations):
    found = predict(annotations, 1.0)
    metrics = evaluate(annotations, found, 300)
    for kind in ('bbox', 'segm'):
        standard = compute_stats(annotations, found, kind, [1, 10, 100])
        assert [metrics[f'coco/{kind}_{name}'] for name in COCO_STATS] == standard[:6]
        crowded = compute_stats(annotations, found, kind, [1, 10, 300])
        assert metrics[f'coco/{kind}_mAP_50@300'] == crowded[1] > standard[1]
        assert metrics[f'coco/{kind}_mAP_75@300'] == crowded[2]
        assert standard[0] < metrics[f'coco/{kind}_mAP@300'] < crowded[1]


def test_of_100_detections_it_is_the_standard_one(annotations):
    metrics = evaluate(annotations, predict(annotations, 1.0), 100, ['bbox'])
    assert metrics['coco/bbox_mAP@100'] == metrics['coco/bbox_mAP'] > 0


def test_a_model_that_finds_everything(annotations):
    """COCO's AP is that of 100 of the 108 objects of the first class."""
    metrics = evaluate(annotations, predict(annotations, 0.0), OBJECTS, ['bbox'])
    recall_points = 1 + int(100 * 100 / 108)  # of 101 from 0 to 1
    assert metrics['coco/bbox_mAP'] == pytest.approx((recall_points / 101 + 1) / 2, abs=6e-4)
    assert metrics['coco/bbox_mAP@120'] == metrics['coco/bbox_mAP_75@120'] == 1


def test_nothing_found(annotations):
    assert evaluate(annotations, [], 300) == {}


def test_without_objects_the_ap_is_that_of_pycocotools():
    """-1, as of COCO's summary, where no class has objects."""
    assert average(np.full((10, 101, 2, 1, 1), -1.0)) == -1
    precision = np.stack([np.full((10, 101), -1.0), np.full((10, 101), 0.5)], axis=-1)
    assert average(precision) == 0.5


def test_proposals_are_refused(annotations):
    init_default_scope('mmdet')
    settings = dict(type='CrowdedCocoMetric', max_dets=230, ann_file=str(annotations))
    with pytest.raises(ValueError, match="has no metric 'proposal'; use mmdet's CocoMetric"):
        METRICS.build(dict(settings, metric=['bbox', 'proposal']))
