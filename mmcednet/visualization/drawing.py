"""Drawings of labels and predictions in small images, for grids."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from .predictions import Classes, Style, draw_detections

STYLE = Style(legend=False)  # the grid has one


def get_classes(metainfo: Mapping[str, Any]) -> Classes:
    """Names and colours of the classes, from metainfo with 'classes' and 'palette'."""
    return Classes(metainfo['classes'], np.array(metainfo['palette'], np.uint8))


def draw_detection_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Draw boxes or masks into an image.

    Args:
        image: Image (H, W, 3), RGB.
        result: mmdet's sample with ground truth, or predictions, or both.
        metainfo: Metainfo of the dataset, with the classes and the palette.

    Returns:
        Title -> image (H, W, 3): the ground truth, and the detections.
    """
    panels = {}
    for key, title in (('gt_instances', 'ground truth'), ('pred_instances', 'detections')):
        if key in result:
            found = result.get(key)
            panels[title] = draw_detections(
                image,
                get_classes(metainfo),
                found.labels.numpy(),
                found.bboxes.numpy(),
                found.scores.numpy() if 'scores' in found else None,
                np.asarray(found.masks, bool) if 'masks' in found else None,
                STYLE,
            )
    return panels


def draw_segmentation_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Blend an image with label maps in the colours of the classes.

    Args:
        image: Image (H, W, 3), RGB.
        result: mmseg's sample with ground truth, or prediction, or both.
        metainfo: Metainfo of the dataset, with the palette.

    Returns:
        Title -> image (H, W, 3): the image, the ground truth and the prediction. Pixels without a class
        stay as they are.
    """
    panels = {'image': image}
    palette = np.array(metainfo['palette'], np.uint8)
    for key, title in (('gt_sem_seg', 'ground truth'), ('pred_sem_seg', 'prediction')):
        if key in result:
            labels = result.get(key).data[0].numpy()
            known = labels < len(palette)
            colours = palette[np.where(known, labels, 0)]
            blended = cv2.addWeighted(image, 0.3, colours, 0.7, 0)
            panels[title] = np.where(known[..., None], blended, image)
    return panels
