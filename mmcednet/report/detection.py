"""Reports of detectors, by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmcednet.evaluation.coco import match_detections
from mmcednet.visualization.drawing import draw_detection_panels
from mmcednet.visualization.grids import resize_boxes, resize_mask

from .evaluation import Evaluation, Record, divide

MIN_SCORE = 0.3  # of a detection that is drawn, and counted in the confusion matrix
MIN_IOU = 0.5  # of a detection with its object
COCO_LIMIT = 100
NONE = 'none'
NOTE = f'detections with a score of at least {MIN_SCORE} and an IoU of at least {MIN_IOU}'


class Detection:
    """Detectors of mmdet whose evaluator has a ``CocoMetric``."""

    def record(self, sample: Any, metainfo: Mapping[str, Any]) -> Record:
        from mmdet.structures.mask import encode_mask_results

        found = sample.pred_instances.numpy()
        masks = encode_mask_results(found.masks) if 'masks' in found else None
        height, width = sample.ori_shape[:2]
        return dict(
            img_path=sample.img_path,
            img_id=sample.img_id,
            size=(height, width),
            boxes=found.bboxes.reshape(-1, 4),
            scores=found.scores,
            labels=found.labels,
            masks=masks,
        )

    def evaluate(
        self, records: Sequence[Record], metainfo: Mapping[str, Any], metrics: Sequence[Any]
    ) -> Evaluation:
        metric = find_coco_metric(metrics)
        kind = 'segm' if 'segm' in metric.metrics else 'bbox'
        truth, classes = metric._coco_api, list(metainfo['classes'])
        with contextlib.redirect_stdout(io.StringIO()):
            found = convert(records, truth, metric.cat_ids, kind)
            precision = compute_precision(truth, found, kind, records, metric)
            confusion = compute_confusion(truth, found, kind, records, metric.cat_ids)
        counts = confusion[: len(classes)].sum(1)
        hits = confusion.diagonal()[: len(classes)]
        known = np.where(precision > -1, precision, np.nan)  # pycocotools: -1 without objects
        part, limit = 'mask ' if kind == 'segm' else 'box ', get_limit(metric)
        of_limit = '' if limit == COCO_LIMIT else f'@{limit}'
        table = {
            'class': classes,
            'objects': counts.tolist(),
            f'{part}AP{of_limit}': known.mean((0, 1)).tolist(),
            f'{part}AP50{of_limit}': known[0].mean(0).tolist(),
            'precision': divide(hits, confusion[:, : len(classes)].sum(0)).tolist(),
            'recall': divide(hits, counts).tolist(),
        }
        recalls = COCOeval(iouType=kind).params.recThrs
        curves = {
            name: (recalls, precision[0, :, k])
            for k, name in enumerate(classes)
            if not np.isnan(known[..., k]).all()
        }
        worst = sorted(records, key=lambda record: record['score'])
        return Evaluation(table, confusion, [*classes, NONE], NOTE, curves, worst)

    def draw(
        self, record: Record, image: np.ndarray, metainfo: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        from mmdet.structures import DetDataSample

        size = image.shape[:2]
        kept = record['scores'] >= MIN_SCORE
        sample = DetDataSample()
        sample.pred_instances = InstanceData(
            bboxes=resize_boxes(record['boxes'][kept], record['size'], size),
            scores=torch.as_tensor(record['scores'][kept]),
            labels=torch.as_tensor(record['labels'][kept]),
        )
        objects = record.get('objects', ())
        boxes = np.array([item['bbox'] for item in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        sample.gt_instances = InstanceData(
            bboxes=resize_boxes(boxes, record['size'], size),
            labels=torch.tensor([item['label'] for item in objects], dtype=torch.long),
        )
        if record['masks'] is not None:
            masks = [mask for mask, keep in zip(record['masks'], kept) if keep]
            sample.pred_instances.masks = decode(masks, size)
            sample.gt_instances.masks = decode([item['mask'] for item in objects], size)
        return draw_detection_panels(image, sample, metainfo)


def find_coco_metric(metrics: Sequence[Any]) -> Any:
    """The metric that has evaluated by pycocotools, with the annotations.

    Raises:
        ValueError: There is none.
    """
    for metric in metrics:
        if getattr(metric, '_coco_api', None) is not None:
            return metric
    raise ValueError('a report of a detector needs a CocoMetric in its evaluator')


def get_limit(metric: Any) -> int:
    """Detections of an image and a class that the AP counts, also of a ``CrowdedCocoMetric``."""
    return getattr(metric, 'max_dets', COCO_LIMIT)


def convert(records: Sequence[Record], truth: COCO, cat_ids: Sequence[Any], kind: str) -> COCO:
    """Convert the detections to COCO's results, which get ids in the order of the records.

    The objects of the images are added to the records, under 'objects'.
    """
    results: list[dict] = []
    for record in records:
        record['objects'] = list_objects(truth, record, cat_ids, kind)
        for index, label in enumerate(record['labels'].tolist()):
            left, top, right, bottom = record['boxes'][index].tolist()
            result = dict(
                image_id=record['img_id'],
                category_id=cat_ids[label],
                score=float(record['scores'][index]),
            )
            if kind == 'segm':  # without the box, whose area would count
                result['segmentation'] = record['masks'][index]
            else:
                result['bbox'] = [left, top, right - left, bottom - top]
            results.append(result)
    if results:
        return truth.loadRes(results)
    empty = COCO()
    empty.dataset = dict(truth.dataset, annotations=[])
    empty.createIndex()
    return empty


def list_objects(truth: COCO, record: Record, cat_ids: Sequence[Any], kind: str) -> list[dict]:
    """The objects of an image: box (x, y, width, height), label and mask, for drawing."""
    found = truth.loadAnns(truth.getAnnIds(imgIds=[record['img_id']], catIds=list(cat_ids)))
    return [
        dict(
            bbox=item['bbox'],
            label=list(cat_ids).index(item['category_id']),
            mask=truth.annToRLE(item) if kind == 'segm' else None,
        )
        for item in found
    ]


def compute_precision(
    truth: COCO, found: COCO, kind: str, records: Sequence[Record], metric: Any
) -> np.ndarray:
    """Precision (IoU threshold, recall, class) of all sizes, as the metric computes it."""
    img_ids = [record['img_id'] for record in records]
    evaluation = match_detections(truth, found, kind, img_ids, metric.cat_ids, get_limit(metric))
    evaluation.accumulate()
    # pycocotools has sorted the ids
    order = [evaluation.params.catIds.index(cat_id) for cat_id in metric.cat_ids]
    return evaluation.eval['precision'][:, :, order, 0, 0]


def compute_confusion(
    truth: COCO, found: COCO, kind: str, records: Sequence[Record], cat_ids: Sequence[Any]
) -> np.ndarray:
    """Count which class the objects are found as (true + none, predicted + none).

    Detections and objects of any class are matched by pycocotools. The records get the harmonic mean
    of precision and recall as 'score'.
    """
    img_ids = [record['img_id'] for record in records]
    most = max([1, *(len(record['labels']) for record in records)])
    evaluation = match_detections(
        truth, found, kind, img_ids, cat_ids, most, iou_thrs=[MIN_IOU], by_class=False
    )
    labels = {cat_id: label for label, cat_id in enumerate(cat_ids)}
    none = len(labels)
    matched = {item['image_id']: item for item in evaluation.evalImgs if item is not None}
    total = np.zeros((none + 1, none + 1), np.int64)
    for record in records:
        counts = np.zeros_like(total)
        if record['img_id'] in matched:
            for true, predicted in iter_pairs(matched[record['img_id']], truth, found, labels):
                counts[true, predicted] += 1
        hits, errors = counts.diagonal()[:none].sum(), counts.sum() - counts.diagonal().sum()
        wrong_class = counts[:none, :none].sum() - hits  # both a miss and a false detection
        record['score'] = 2 * hits / max(2 * hits + errors + wrong_class, 1) if errors else 1.0
        record['note'] = f'{counts[:none, none].sum()} missed, {counts[none].sum()} false' + (
            f', {wrong_class} of another class' if wrong_class else ''
        )
        total += counts
    return total


def iter_pairs(matches: dict, truth: COCO, found: COCO, labels: Mapping[Any, int]) -> Any:
    """True and predicted label of each object and false detection; crowds are left out."""
    none, seen = len(labels), set()
    for index, result in enumerate(matches['dtIds']):
        detection = found.anns[result]
        if detection['score'] < MIN_SCORE or matches['dtIgnore'][0, index]:
            continue
        predicted, match = labels[detection['category_id']], matches['dtMatches'][0, index]
        true = labels[truth.anns[match]['category_id']] if match else none
        seen.add(match)
        yield true, predicted
    for index, annotation in enumerate(matches['gtIds']):
        if annotation not in seen and not matches['gtIgnore'][index]:
            yield labels[truth.anns[annotation]['category_id']], none


def decode(masks: Sequence[dict], size: tuple[int, int]) -> torch.Tensor:
    """Run lengths as masks (n, H, W) of another size."""
    decoded = [resize_mask(coco_mask.decode(mask), size) for mask in masks]
    return torch.as_tensor(np.array(decoded, bool).reshape(-1, *size))
