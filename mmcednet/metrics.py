"""Metrics in the logs of mmdet, mmseg and mmpretrain."""

import math
from collections.abc import Mapping

from mmengine.config import Config

# Key -> title of the metrics that tell how good a model is, the main ones first
TITLES = {
    'coco/segm_mAP': 'mask AP',
    'coco/bbox_mAP': 'box AP',
    'mIoU': 'mIoU',
    'accuracy/top1': 'accuracy',
    'coco/segm_mAP_50': 'mask AP50',
    'coco/bbox_mAP_50': 'box AP50',
    'aAcc': 'pixel accuracy',
    'accuracy/top5': 'top-5 accuracy',
    'single-label/f1-score': 'F1',
}


def to_percent(key: str, value: float) -> float:
    """Convert a logged metric to percent: COCO's are logged from 0 to 1, others from 0 to 100."""
    return 100 * value if key.startswith('coco/') else value


def list_shown_metrics(cfg: Config, metrics: Mapping[str, float]) -> dict[str, tuple[str, float]]:
    """List the metrics to show: those of ``TITLES``, or of the config's ``shown_metrics``.

    Args:
        cfg: The config; ``shown_metrics`` maps keys to titles.
        metrics: Key -> value of a validation.

    Returns:
        Key -> title and value in [0, 1], those that are there; without any, all that are numbers, as
        they are.
    """
    titles = cfg.get('shown_metrics') or TITLES
    shown = {}
    for name, title in titles.items():
        for key, value in metrics.items():
            if key.partition('@')[0] == name:  # bbox_mAP@230: that of 230 detections
                shown[key] = (title + key[len(name) :], to_percent(key, value) / 100)
    numbers = {key: value for key, value in metrics.items() if isinstance(value, (int, float))}
    return shown or {
        key: (key, value)
        for key, value in numbers.items()
        if math.isfinite(value) and key not in ('time', 'data_time')
    }
