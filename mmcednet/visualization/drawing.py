"""Drawings of labels and predictions in an image."""

import cv2
import numpy as np
from mmengine.structures import BaseDataElement


def draw_detection_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
) -> dict[str, np.ndarray]:
    """Draw boxes and masks into an image.

    Args:
        image: Image (H, W, 3), RGB.
        result: mmdet's sample with ground truth, or predictions, or both.
        metainfo: Metainfo of the dataset, with the names of the classes.

    Returns:
        Title -> image (H, W, 3): the ground truth, and the detections.
    """
    from mmdet.visualization import DetLocalVisualizer

    visualizer = DetLocalVisualizer('grid', line_width=2)
    visualizer.dataset_meta = metainfo
    titles = {'gt_instances': 'ground truth', 'pred_instances': 'detections'}
    shown = [title for key, title in titles.items() if key in result]
    drawn = dict(draw_gt='gt_instances' in result, draw_pred='pred_instances' in result)
    visualizer.add_datasample('grid', image, result, pred_score_thr=-1.0, **drawn)
    return dict(zip(shown, np.hsplit(visualizer.get_image(), len(shown))))


def draw_segmentation_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
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
