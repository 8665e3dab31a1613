"""Reports of segmenters: the confusion of pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData

from mmcednet.visualization.drawing import draw_segmentation_panels
from mmcednet.visualization.grids import resize_mask

from .evaluation import Evaluation, Record, divide


class Segmentation:
    """Segmenters of mmseg."""

    def record(self, sample: Any, metainfo: Mapping[str, Any]) -> Record:
        number = len(metainfo['classes'])
        predicted, true = sample.pred_sem_seg.data[0], sample.gt_sem_seg.data[0]
        true = true.to(predicted.device, torch.long)
        labelled = true < number  # 255 and others are ignored
        pairs = true[labelled] * number + predicted[labelled].long()
        confusion = torch.bincount(pairs, minlength=number**2).reshape(number, number).cpu().numpy()
        hits, counts = confusion.diagonal(), confusion.sum(1)
        ious = divide(hits, counts + confusion.sum(0) - hits)[counts > 0]
        score = float(ious.mean()) if len(ious) else 1.0
        kind = torch.uint8 if number < 256 else torch.int16
        return dict(
            img_path=sample.img_path,
            score=score,
            note=f'mIoU {score:.3f}',
            pairs=np.flatnonzero(confusion),
            counts=confusion.ravel()[confusion.ravel() > 0],
            maps=[labels.to(kind).cpu().numpy() for labels in (true, predicted)],
        )

    def evaluate(
        self, records: Sequence[Record], metainfo: Mapping[str, Any], metrics: Sequence[Any]
    ) -> Evaluation:
        classes = list(metainfo['classes'])
        pairs = np.zeros(len(classes) ** 2, np.int64)
        for record in records:
            pairs[record['pairs']] += record['counts']
        confusion = pairs.reshape(len(classes), -1)
        hits, counts, found = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        table = {
            'class': classes,
            'pixels': divide(counts, np.full(len(classes), counts.sum())).tolist(),
            'IoU': divide(hits, counts + found - hits).tolist(),
            'precision': divide(hits, found).tolist(),
            'recall': divide(hits, counts).tolist(),
        }
        worst = sorted(records, key=lambda record: record['score'])
        return Evaluation(table, confusion, classes, 'pixels', worst=worst)

    def draw(
        self, record: Record, image: np.ndarray, metainfo: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        from mmseg.structures import SegDataSample

        true, predicted = (resize_mask(labels, image.shape[:2]) for labels in record['maps'])
        sample = SegDataSample()
        sample.gt_sem_seg = PixelData(data=torch.as_tensor(true.astype(np.int64))[None])
        sample.pred_sem_seg = PixelData(data=torch.as_tensor(predicted.astype(np.int64))[None])
        return draw_segmentation_panels(image, sample, metainfo)
