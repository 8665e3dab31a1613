"""The AP of images that hold more objects than the 100 detections by which COCO measures it."""

from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import load

from .coco import match_detections

COCO_DETECTIONS = [1, 10, 100]  # of an image and a class, by which COCO measures
THRESHOLDS = {'mAP_50': 0.5, 'mAP_75': 0.75}
KINDS = ('bbox', 'segm')


@METRICS.register_module()
class CrowdedCocoMetric(CocoMetric):
    """COCO's AP, and beside it the AP of more detections: ``bbox_mAP`` and ``bbox_mAP@230``.

    pycocotools counts the 100 best detections of an image and a class, so that a model that finds all
    of 200 objects has a recall of 0.5. ``bbox_mAP``, ``bbox_mAP_50`` and so on are COCO's, of 100
    detections; mmdet's metric takes AP50, AP75 and the sizes of up to 1000.

    Args:
        max_dets: Number of detections, the N of the metrics ``bbox_mAP@N``, ``bbox_mAP_50@N`` and
            ``bbox_mAP_75@N``, and those of 'segm'.
        **settings: Of mmdet's ``CocoMetric``, but for ``proposal_nums``.

    Raises:
        ValueError: The metric 'proposal' is among them, whose numbers of detections are fixed.
    """

    def __init__(self, max_dets: int, **settings: Any) -> None:
        super().__init__(proposal_nums=COCO_DETECTIONS, **settings)
        self.max_dets = max_dets
        if 'proposal' in self.metrics:
            raise ValueError(
                "CrowdedCocoMetric has no metric 'proposal'; use mmdet's CocoMetric for it"
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of ``CocoMetric``, and those of ``max_dets`` detections.

        Args:
            results: Ground truth and predictions of each image.
        """
        metrics = super().compute_metrics(results)
        kinds = [kind for kind in KINDS if f'{kind}_mAP' in metrics]  # none if nothing was found
        with TemporaryDirectory() as folder:
            files = self.results2json([predictions for _, predictions in results], f'{folder}/crowded')
            for kind in kinds:
                metrics |= self.compute_ap(kind, load(files[kind]))
        return metrics

    def compute_ap(self, kind: str, predictions: list[dict]) -> dict[str, float]:
        """Compute the AP of ``max_dets`` detections by pycocotools.

        Args:
            kind: 'bbox' or 'segm'.
            predictions: Detections in COCO's format.
        """
        truth = self._coco_api
        evaluation = match_detections(
            truth,
            truth.loadRes(predictions),
            kind,
            self.img_ids,
            self.cat_ids,
            self.max_dets,
            self.iou_thrs,
        )
        evaluation.accumulate()
        precision = evaluation.eval['precision']  # (IoU threshold, recall, class, 1, 1)
        selected = {'mAP': precision}
        for name, threshold in THRESHOLDS.items():
            selected[name] = precision[np.isclose(self.iou_thrs, threshold)]
        return {
            f'{kind}_{name}@{self.max_dets}': round(average(values), 3)
            for name, values in selected.items()
        }


def average(precision: np.ndarray) -> float:
    """Mean over the classes that have objects, as pycocotools: others have -1; -1 if all are."""
    found = precision[precision > -1]
    return float(found.mean()) if found.size else -1.0
