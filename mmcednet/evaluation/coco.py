"""Detections matched with objects by pycocotools."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def match_detections(
    truth: COCO,
    found: COCO,
    kind: str,
    img_ids: Sequence[Any],
    cat_ids: Sequence[Any],
    max_dets: int,
    iou_thrs: Sequence[float] | np.ndarray | None = None,
    by_class: bool = True,
) -> COCOeval:
    """Match detections with the objects, of all sizes together.

    Args:
        truth: The objects.
        found: The detections.
        kind: 'bbox' or 'segm'.
        img_ids: Ids of the images that count.
        cat_ids: Ids of the categories that count.
        max_dets: Detections of an image and a class that count, those with the highest scores; without
            classes, of an image.
        iou_thrs: IoUs from which on a detection matches. Default: COCO's, 0.5 to 0.95.
        by_class: Whether a detection matches only objects of its class. Default: True.

    Returns:
        The evaluation: ``evalImgs`` has the matches, ``accumulate()`` computes the precisions. The ids
        in its ``params`` are sorted.
    """
    evaluation = COCOeval(truth, found, kind)
    params = evaluation.params
    params.imgIds, params.catIds = list(img_ids), list(cat_ids)
    params.maxDets = [max_dets]
    params.areaRng = params.areaRng[:1]  # all sizes
    params.useCats = int(by_class)
    if iou_thrs is not None:
        params.iouThrs = np.asarray(iou_thrs)
    evaluation.evaluate()
    return evaluation
