"""A picture of the first training images, as the network gets them, with their labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from mmcednet.visualization.drawing import (
    draw_detection_panels,
    draw_segmentation_panels,
    get_classes,
)
from mmcednet.visualization.grids import fit, join_panels, resize_boxes, resize_mask, write_grid

COLUMNS = 4


def draw_batches(
    images: list[torch.Tensor], samples: list[Any], metainfo: Mapping[str, Any], out: Path
) -> None:
    """Draw images and their labels, after augmentation and before the model's own normalisation.

    Args:
        images: Tensors (3, H, W), BGR.
        samples: Data samples of mmdet, mmseg or mmpretrain.
        metainfo: The dataset's.
        out: Image file to write.
    """
    cells = []
    for image, sample in zip(images, samples):
        pixels = image.float().permute(1, 2, 0).numpy()[..., ::-1]
        if image.dtype != torch.uint8:  # normalised by the pipeline
            low, high = pixels.min(), pixels.max()
            pixels = (pixels - low) * (255 / max(high - low, 1e-6))
        drawn = np.ascontiguousarray(pixels.astype(np.uint8))
        height, width = drawn.shape[:2]
        cells.append(join_panels(draw_labels(fit(drawn), (height, width), sample, metainfo)))
    write_grid(cells, out, COLUMNS, get_classes(metainfo) if 'palette' in metainfo else None)


def draw_labels(
    image: np.ndarray, size: tuple[int, int], sample: Any, metainfo: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Draw the labels of a sample of the size (H, W) into a resized image; return title -> picture."""
    drawn = sample.new()
    if 'gt_instances' in sample:
        objects = sample.gt_instances
        boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy().reshape(-1, 4)
        drawn.gt_instances = InstanceData(
            bboxes=resize_boxes(boxes, size, image.shape[:2]), labels=objects.labels
        )
        if 'masks' in objects:
            masks = objects.masks.to_ndarray()
            masks = [resize_mask(mask, image.shape[:2]) for mask in masks]
            masks = np.array(masks, bool).reshape(-1, *image.shape[:2])
            drawn.gt_instances.masks = torch.as_tensor(masks)
        return draw_detection_panels(image, drawn, metainfo)
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.data[0].numpy().astype(np.int32)
        labels = resize_mask(labels, image.shape[:2]).astype(np.int64)
        drawn.gt_sem_seg = PixelData(data=torch.as_tensor(labels)[None])
        return draw_segmentation_panels(image, drawn, metainfo)
    classes = metainfo.get('classes') or ()
    names = [classes[label] for label in sample.gt_label.tolist()]
    return {', '.join(names): image}
