"""Reports of classifiers: the confusion of images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .evaluation import Evaluation, Record, divide

MAX_SCORED = 100  # classes of which curves are drawn


class Classification:
    """Classifiers of mmpretrain, with one class for an image."""

    def record(self, sample: Any, metainfo: Mapping[str, Any]) -> Record:
        (true,) = sample.gt_label.tolist()
        scores = sample.pred_score.float().cpu().numpy()
        classes = metainfo['classes']
        return dict(
            img_path=sample.img_path,
            score=float(scores[true]),
            note=f'score of {classes[true]} {scores[true]:.2f}',
            true=true,
            predicted=int(scores.argmax()),
            scores=scores if len(scores) <= MAX_SCORED else None,
        )

    def evaluate(
        self, records: Sequence[Record], metainfo: Mapping[str, Any], metrics: Sequence[Any]
    ) -> Evaluation:
        classes = list(metainfo['classes'])
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        for record in records:
            confusion[record['true'], record['predicted']] += 1
        hits, counts = confusion.diagonal(), confusion.sum(1)
        precision, recall = divide(hits, confusion.sum(0)), divide(hits, counts)
        table = {
            'class': classes,
            'images': counts.tolist(),
            'precision': precision.tolist(),
            'recall': recall.tolist(),
            'F1': divide(2 * hits, confusion.sum(0) + counts).tolist(),
        }
        curves = {}
        if len(classes) <= MAX_SCORED:
            scores = np.array([record['scores'] for record in records])
            true = np.array([record['true'] for record in records])
            curves = {
                name: compute_curve(scores[:, label], true == label)
                for label, name in enumerate(classes)
                if counts[label]
            }
        worst = sorted(records, key=lambda record: record['score'])
        return Evaluation(table, confusion, classes, 'images', curves, worst)

    def draw(
        self, record: Record, image: np.ndarray, metainfo: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        predicted, true = (metainfo['classes'][record[key]] for key in ('predicted', 'true'))
        return {predicted if predicted == true else f'{predicted}; truth: {true}': image}


def compute_curve(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision of the images from each score on, the highest first.

    Args:
        scores: (n,) of a class.
        true: (n,), whether an image is of it; at least one is.
    """
    order = np.argsort(-scores, kind='stable')
    last = np.append(np.diff(scores[order]) != 0, True)  # of images of an equal score
    hits, taken = np.cumsum(true[order])[last], np.arange(1, len(scores) + 1)[last]
    return hits / true.sum(), hits / taken
