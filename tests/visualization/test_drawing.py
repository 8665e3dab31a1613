"""The demo's pictures: predictions in enlarged images, and training curves."""

import json

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmcednet.visualization import drawing


def test_enlarged_masks_fit_their_boxes():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:4, 1:5] = True
    instances = InstanceData(bboxes=torch.tensor([[1.0, 2, 5, 4]]), masks=masks)
    drawing.enlarge_instances(instances)
    left, top, right, bottom = instances.bboxes[0].int().tolist()
    assert instances.masks.shape == (1, 8 * drawing.SCALE, 8 * drawing.SCALE)
    assert instances.masks[0, top:bottom, left:right].all()
    assert instances.masks.sum() == 2 * 4 * drawing.SCALE**2


def test_label_maps_are_drawn_in_the_class_colours():
    truth = torch.zeros(1, 8, 8, dtype=torch.long)
    truth[0, 2:4, 1:5] = 1
    result = BaseDataElement(
        gt_sem_seg=PixelData(data=truth), pred_sem_seg=PixelData(data=torch.zeros_like(truth))
    )
    image = drawing.enlarge(np.full((8, 8, 3), 100, np.uint8))
    metainfo = dict(palette=[(0, 0, 0), (200, 0, 0)])
    panels = drawing.draw_segmentation_panels(image, result, metainfo)
    assert list(panels) == ['image', 'ground truth', 'prediction']
    assert (panels['image'] == image).all()
    mask = drawing.enlarge(truth[0].numpy()) == 1
    red = panels['ground truth'][..., 0]
    assert red[mask].min() > 100 > red[~mask].max()
    assert (panels['prediction'][..., 0] == red[~mask][0]).all()


def test_curves_show_the_log(tmp_path, monkeypatch):
    log = tmp_path / 'scalars.json'
    entries = [dict(loss=2.0, iter=10, step=10), dict(loss=1.0, iter=20, step=20)]
    entries += [{'coco/bbox_mAP': 0.25, 'mIoU': 12.5, 'step': 1}]
    log.write_text('\n'.join(map(json.dumps, entries)))
    figures = []
    monkeypatch.setattr(drawing.plt, 'close', figures.append)
    metrics = {'coco/bbox_mAP': 'box AP', 'mIoU': 'mIoU'}
    drawing.draw_curves(log, metrics, tmp_path / 'curves.png')
    left, right = figures[0].axes
    assert left.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.0]]
    assert [line.get_label() for line in right.lines] == ['box AP', 'mIoU']
    assert [line.get_xydata().tolist() for line in right.lines] == [[[1, 0.25]], [[1, 0.125]]]
    assert [path.name for path in tmp_path.glob('*.png')] == ['curves.png']
