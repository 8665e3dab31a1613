"""Labels and predictions drawn into images."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement, PixelData

from mmcednet.visualization import drawing


def test_label_maps_are_drawn_in_the_class_colours():
    truth = torch.zeros(1, 8, 8, dtype=torch.long)
    truth[0, 2:4, 1:5] = 1
    result = BaseDataElement(
        gt_sem_seg=PixelData(data=truth), pred_sem_seg=PixelData(data=torch.zeros_like(truth))
    )
    image = np.full((8, 8, 3), 100, np.uint8)
    metainfo = dict(palette=[(0, 0, 0), (200, 0, 0)])
    panels = drawing.draw_segmentation_panels(image, result, metainfo)
    assert list(panels) == ['image', 'ground truth', 'prediction']
    assert (panels['image'] == image).all()
    mask = truth[0].numpy() == 1
    red = panels['ground truth'][..., 0]
    assert red[mask].min() > 100 > red[~mask].max()
    assert (panels['prediction'][..., 0] == red[~mask][0]).all()
