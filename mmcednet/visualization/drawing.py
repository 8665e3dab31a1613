"""Pictures of a training: predictions on validation images in a grid, and curves of its log."""

import json
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.registry import VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData

from mmcednet.files import atomic_write
from mmcednet.metrics import to_percent

matplotlib.use('Agg')
from matplotlib import pyplot as plt

MAX_IMAGES = 12
COLUMNS = 3
SCALE = 3
MIN_SCORE = 0.4


def draw_prediction_grid(runner: Runner, out: Path) -> None:
    """Draw the ground truth and the prediction for the first validation images.

    Args:
        runner: Runner with the trained model; the scope of its config is a key of ``PANELS``.
        out: Image file to write.
    """
    draw_panels = PANELS[runner.cfg.default_scope]
    dataset = runner.val_dataloader.dataset
    runner.model.eval()
    cells = []
    for index in range(min(MAX_IMAGES, len(dataset))):
        item = dataset[index]
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.no_grad():
            (result,) = runner.model.test_step(batch)
        image = cv2.cvtColor(cv2.imread(item['data_samples'].img_path), cv2.COLOR_BGR2RGB)
        panels = draw_panels(enlarge(image), result.cpu(), dataset.metainfo)
        cell = np.hstack([add_title(panel, title) for title, panel in panels.items()])
        cells.append(np.pad(cell, ((0, 12), (12, 12), (0, 0)), constant_values=255))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    with atomic_write(out) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def draw_detection_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
) -> dict[str, np.ndarray]:
    """Draw boxes and masks into an image.

    Args:
        image: Enlarged image (H, W, 3), RGB.
        result: mmdet's sample with ground truth and predictions; both are enlarged in place.
        metainfo: Metainfo of the dataset, with the names of the classes.

    Returns:
        Title -> image (H, W, 3): the ground truth, and the detections with a score of at least 0.4.
    """
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='grid', line_width=2))
    visualizer.dataset_meta = metainfo
    enlarge_instances(result.gt_instances)
    enlarge_instances(result.pred_instances)
    visualizer.add_datasample('grid', image, result, pred_score_thr=MIN_SCORE)
    return dict(zip(('ground truth', 'detections'), np.hsplit(visualizer.get_image(), 2)))


def draw_segmentation_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
) -> dict[str, np.ndarray]:
    """Blend an image with label maps in the colours of the classes.

    Args:
        image: Enlarged image (H, W, 3), RGB.
        result: mmseg's sample with ground truth and prediction.
        metainfo: Metainfo of the dataset, with the palette.

    Returns:
        Title -> image (H, W, 3): the image, the ground truth and the prediction.
    """
    panels = {'image': image}
    palette = np.array(metainfo['palette'], np.uint8)
    for title, labels in (('ground truth', result.gt_sem_seg), ('prediction', result.pred_sem_seg)):
        colours = enlarge(palette[labels.data[0].numpy()])
        panels[title] = cv2.addWeighted(image, 0.3, colours, 0.7, 0)
    return panels


# Scope of a config -> function that draws a result into an enlarged image
PANELS = {'mmdet': draw_detection_panels, 'mmseg': draw_segmentation_panels}


def enlarge(image: np.ndarray) -> np.ndarray:
    """Enlarge an image (H, W, ...) to (3H, 3W, ...), without interpolation."""
    return image.repeat(SCALE, 0).repeat(SCALE, 1)


def enlarge_instances(instances: InstanceData) -> None:
    """Scale boxes and masks (n, H, W) in place to fit the enlarged image."""
    # mmdet wraps the ground truth in classes of box and mask structures, but not the predictions.
    instances.bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes) * SCALE
    if 'masks' in instances:
        masks = getattr(instances.masks, 'masks', instances.masks)
        instances.masks = torch.as_tensor(masks).repeat_interleave(SCALE, 1)
        instances.masks = instances.masks.repeat_interleave(SCALE, 2)


def add_title(image: np.ndarray, title: str) -> np.ndarray:
    """Add a title above an image: (H, W, 3) -> (H + 20, W + 4, 3)."""
    image = np.pad(image, ((20, 0), (2, 2), (0, 0)), constant_values=255)
    return cv2.putText(image, title, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def draw_curves(log: Path, metrics: dict[str, str], out: Path) -> None:
    """Draw the training loss and the validation metrics of a run.

    Args:
        log: The run's scalars.json.
        metrics: Key in the log -> title, of the metrics to draw.
        out: Image file to write.
    """
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [(entry['iter'], entry['loss']) for entry in entries if 'loss' in entry]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    left.plot(*zip(*losses))
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for key, title in metrics.items():
        values = [(e['step'], to_percent(key, e[key]) / 100) for e in entries if key in e]
        right.plot(*zip(*values), marker='o', label=title)
    right.set(xlabel='epoch', ylabel='validation', ylim=(0, 1))
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
