"""The demo's pictures: what a model finds in validation images, and the curves of its training."""

import json
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.registry import VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData

from mmcednet.engine.metrics import per_cent

matplotlib.use('Agg')
from matplotlib import pyplot as plt

DRAWN_IMAGES = 12
COLUMNS = 3
ENLARGED = 3
MIN_SCORE = 0.4


def draw_predictions(runner: Runner, out: Path) -> None:
    """Draw validation images, each with its ground truth and what the model makes of it."""
    draw_panels = PANELS[runner.cfg.default_scope]
    dataset = runner.val_dataloader.dataset
    runner.model.eval()
    cells = []
    for index in range(min(DRAWN_IMAGES, len(dataset))):
        item = dataset[index]
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.no_grad():
            (result,) = runner.model.test_step(batch)
        image = cv2.cvtColor(cv2.imread(item['data_samples'].img_path), cv2.COLOR_BGR2RGB)
        panels = draw_panels(enlarged(image), result.cpu(), dataset.metainfo)
        titled = [titled_image(panel, title) for title, panel in panels.items()]
        cells.append(np.pad(np.hstack(titled), ((0, 12), (12, 12), (0, 0)), constant_values=255))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    save_image(out, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def detection_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
) -> dict[str, np.ndarray]:
    """By their titles, the image with the boxes and masks there are and with those that are found."""
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='demo', line_width=2))
    visualizer.dataset_meta = metainfo
    enlarge_instances(result.gt_instances)
    enlarge_instances(result.pred_instances)
    visualizer.add_datasample('demo', image, result, pred_score_thr=MIN_SCORE)
    return dict(zip(('ground truth', 'detections'), np.hsplit(visualizer.get_image(), 2)))


def segmentation_panels(
    image: np.ndarray, result: BaseDataElement, metainfo: dict
) -> dict[str, np.ndarray]:
    """By their titles, the image, and under the classes' colours where they are and are found."""
    panels = {'image': image}
    palette = np.array(metainfo['palette'], np.uint8)
    for title, labels in (('ground truth', result.gt_sem_seg), ('prediction', result.pred_sem_seg)):
        colours = enlarged(palette[labels.data[0].numpy()])
        panels[title] = cv2.addWeighted(image, 0.3, colours, 0.7, 0)
    return panels


# By the scope of a config: what draws an enlarged image (H, W, 3), in RGB, with a result
PANELS = {'mmdet': detection_panels, 'mmseg': segmentation_panels}


def enlarged(image: np.ndarray) -> np.ndarray:
    return image.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def enlarge_instances(instances: InstanceData) -> None:
    """Have boxes and masks fit the enlarged image; ground truth comes in classes of its own."""
    instances.bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes) * ENLARGED
    if 'masks' in instances:
        masks = getattr(instances.masks, 'masks', instances.masks)
        instances.masks = torch.as_tensor(masks).repeat_interleave(ENLARGED, 1)
        instances.masks = instances.masks.repeat_interleave(ENLARGED, 2)


def titled_image(image: np.ndarray, title: str) -> np.ndarray:
    image = np.pad(image, ((20, 0), (2, 2), (0, 0)), constant_values=255)
    return cv2.putText(image, title, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def save_image(out: Path, image: np.ndarray) -> None:
    unfinished = out.with_name(f'unfinished-{out.name}')
    cv2.imwrite(str(unfinished), image)
    unfinished.replace(out)


def draw_curves(log: Path, metrics: dict[str, str], out: Path) -> None:
    """Draw the loss and the metrics, titles by keys, of a training's scalars.json."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [(entry['iter'], entry['loss']) for entry in entries if 'loss' in entry]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    left.plot(*zip(*losses))
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for key, title in metrics.items():
        values = [(e['step'], per_cent(key, e[key]) / 100) for e in entries if key in e]
        right.plot(*zip(*values), marker='o', label=title)
    right.set(xlabel='epoch', ylabel='validation', ylim=(0, 1))
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    unfinished = out.with_name(f'unfinished-{out.name}')
    figure.savefig(unfinished, dpi=120)
    plt.close(figure)
    unfinished.replace(out)
