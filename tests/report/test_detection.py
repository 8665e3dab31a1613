"""Reports of detectors: AP as pycocotools', the confusion of objects that are drawn here."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmcednet.report.detection import Detection

CLASSES = ('cat', 'dog')
IDS = (7, 3)  # of the classes
SIZE = 100


def write_truth(path, boxes):
    """Objects (image, class, box, crowd) of three images, the last one without any."""
    images = [dict(id=i, file_name=f'{i}.png', height=SIZE, width=SIZE) for i in (10, 11, 12)]
    annotations = [
        dict(
            id=number,
            image_id=image,
            category_id=IDS[label],
            bbox=[x, y, w, h],
            area=w * h,
            iscrowd=crowd,
            segmentation=dict(size=[SIZE, SIZE], counts=[60 * SIZE, 40 * SIZE])  # by columns
            if crowd
            else [[x, y, x + w, y, x + w, y + h, x, y + h]],
        )
        for number, (image, label, (x, y, w, h), crowd) in enumerate(boxes, 1)
    ]
    categories = [dict(id=id_, name=name) for id_, name in zip(IDS, CLASSES)]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


def make_sample(image, found, masks):
    """A prediction of boxes (label, box, score)."""
    boxes = torch.tensor([box for _, box, _ in found], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    sample = DetDataSample(
        metainfo=dict(
            img_id=image, img_path=f'{image}.png', ori_shape=(SIZE, SIZE), scale_factor=(1, 1)
        )
    )
    sample.pred_instances = InstanceData(
        bboxes=boxes,
        scores=torch.tensor([score for _, _, score in found]),
        labels=torch.tensor([label for label, _, _ in found], dtype=torch.long),
    )
    if masks:
        drawn = torch.zeros(len(found), SIZE, SIZE, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(drawn, boxes.long().tolist()):
            mask[top:bottom, left:right] = True
        sample.pred_instances.masks = drawn
    return sample


TRUTH = [
    (10, 0, (10, 10, 20, 20), 0),
    (10, 1, (50, 50, 30, 30), 0),
    (10, 1, (10, 60, 20, 20), 0),
    (11, 0, (0, 0, 40, 40), 0),
    (11, 1, (60, 0, 40, 100), 1),  # a crowd
]
FOUND = {
    10: [
        (0, (10, 10, 20, 20), 0.9),  # right
        (0, (52, 50, 30, 30), 0.8),  # a dog taken for a cat
        (1, (10, 60, 20, 20), 0.2),  # a score too low to count
    ],
    11: [(0, (0, 0, 38, 40), 0.7), (1, (70, 20, 20, 20), 0.9)],  # right; within the crowd
    12: [(1, (5, 5, 10, 10), 0.6)],  # nothing is there
}


@pytest.fixture(params=['bbox', 'segm'])
def evaluated(request, tmp_path):
    """The metric, the records and what the report makes of them."""
    write_truth(tmp_path / 'truth.json', TRUTH)
    metric = CocoMetric(ann_file=str(tmp_path / 'truth.json'), metric=['bbox', request.param])
    metric.dataset_meta = dict(classes=CLASSES)
    task, metainfo = Detection(), dict(classes=CLASSES)
    samples = [make_sample(image, found, request.param == 'segm') for image, found in FOUND.items()]
    for sample in samples:
        metric.process({}, [dict(sample.to_dict(), gt_instances={})])
    metrics = metric.evaluate(len(samples))
    records = [task.record(sample, metainfo) for sample in samples]
    evaluation = task.evaluate(records, metainfo, [metric])
    return request.param, metrics, evaluation, tmp_path / 'truth.json'


def test_ap_is_that_of_the_metric(evaluated):
    kind, metrics, evaluation, path = evaluated
    part = dict(bbox='box', segm='mask')[kind]
    for key, column in (('mAP', f'{part} AP'), ('mAP_50', f'{part} AP50')):
        mean = np.mean(evaluation.table[column])
        assert mean == pytest.approx(metrics[f'coco/{kind}_{key}'], abs=6e-4)  # which is rounded
        assert mean > 0
    assert evaluation.table['class'] == list(CLASSES)
    assert COCO(str(path)).getCatIds() == [*IDS]
    recalls, precision = evaluation.curves['cat']
    assert recalls.tolist() == COCOeval(iouType=kind).params.recThrs.tolist()
    # 0.9: right, 0.8: wrong, 0.7: right
    assert precision[:51] == pytest.approx(1)
    assert precision[51:] == pytest.approx(2 / 3)


def test_confusion(evaluated):
    _, _, evaluation, _ = evaluated
    assert evaluation.labels == ['cat', 'dog', 'none']
    assert evaluation.confusion.tolist() == [
        [2, 0, 0],  # cats are found
        [1, 0, 1],  # of two dogs, one is taken for a cat; the crowd does not count
        [0, 1, 0],  # a dog where nothing is
    ]
    assert evaluation.table['objects'] == [2, 2]
    assert evaluation.table['recall'] == [1, 0]
    assert evaluation.table['precision'] == pytest.approx([2 / 3, 0])
    worst = [(record['img_id'], record['score']) for record in evaluation.worst]
    assert worst == [(12, 0), (10, pytest.approx(2 * 1 / (2 * 1 + 1 + 2))), (11, 1)]
    assert evaluation.worst[1]['note'] == '1 missed, 0 false, 1 of another class'


def test_truth_and_detections_are_drawn(evaluated):
    _, _, evaluation, _ = evaluated
    image = np.full((200, 200, 3), 128, np.uint8)
    record = next(record for record in evaluation.worst if record['img_id'] == 10)
    panels = Detection().draw(record, image, dict(classes=CLASSES, palette=[(255, 0, 0), (0, 0, 255)]))
    assert list(panels) == ['ground truth', 'detections']
    low = (slice(118, 164), slice(18, 64))  # the dog at the bottom, of a score that is too low
    assert (panels['ground truth'][low] != 128).any()
    assert (panels['detections'][low] == 128).all()


def test_nothing_was_found(tmp_path):
    write_truth(tmp_path / 'truth.json', TRUTH)
    metric = CocoMetric(ann_file=str(tmp_path / 'truth.json'))
    metric.dataset_meta = dict(classes=CLASSES)
    task, samples = Detection(), [make_sample(image, [], False) for image in FOUND]
    for sample in samples:
        metric.process({}, [dict(sample.to_dict(), gt_instances={})])
    metric.evaluate(3)
    records = [task.record(sample, {}) for sample in samples]
    evaluation = task.evaluate(records, dict(classes=CLASSES), [metric])
    assert evaluation.table['box AP'] == [0, 0]
    assert evaluation.confusion[:, 2].tolist() == [2, 2, 0]


def test_other_metrics_are_reported():
    with pytest.raises(ValueError, match='a report of a detector needs a CocoMetric'):
        Detection().evaluate([], dict(classes=CLASSES), [])
