"""Models as graphs from images to predictions: detectors of one stage, segmenters, classifiers."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from .boxes import (
    check_activation,
    check_nms,
    clear_missing,
    gather_rows,
    predict_dense,
    suppress,
    take_best,
)
from .operators import ImageInput


class Graph(nn.Module):
    """A model with its preprocessing and decoding.

    Args:
        model: Model of a toolbox, in evaluation mode.
        color: Channels of the images, 'bgr' or 'rgb'.

    Attributes:
        task: 'detector', 'segmenter' or 'classifier'.
        outputs: Names of what :meth:`forward` returns.

    Raises:
        ValueError: The model, or its test config, is not supported.
    """

    task: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]

    def __init__(self, model: Any, color: str) -> None:
        super().__init__()
        self.check(model)
        self.input = ImageInput(model.data_preprocessor, color)
        self.model = model

    @staticmethod
    def check(model: Any) -> None:
        """Raise a ValueError if the model is not supported."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict on images (N, H, W, 3) in uint8."""


class DenseDetectorGraph(Graph):
    """RetinaNet: boxes (N, M, 4) in pixels, scores (N, M) and labels (N, M); M is ``max_per_img``."""

    task = 'detector'
    outputs = ('boxes', 'scores', 'labels')

    @staticmethod
    def check(model: Any) -> None:
        check_activation(model.bbox_head)
        check_nms(model.test_cfg.nms)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        size = images.shape[1], images.shape[2]
        head, cfg = self.model.bbox_head, self.model.test_cfg
        features = self.model.extract_feat(self.input(images))
        boxes, scores, labels = predict_dense(head, features, cfg, size)
        of_class = F.one_hot(labels, head.cls_out_channels).transpose(1, 2) * scores[:, None]
        kept = suppress(boxes, of_class, cfg.nms, cfg.score_thr)
        best, label, index = take_best(kept, cfg.max_per_img)
        return clear_missing(gather_rows(boxes, index), best), best, label


class SegmenterGraph(Graph):
    """UPerNet: labels (N, H, W) and logits (N, classes, H, W)."""

    task = 'segmenter'
    outputs = ('labels', 'logits')

    @staticmethod
    def check(model: Any) -> None:
        if model.out_channels == 1:
            raise ValueError('a segmenter with one output channel cannot be exported; use two classes')

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        x = self.input(images)
        head = self.model.decode_head
        logits = head(self.model.extract_feat(x))
        logits = F.interpolate(
            logits, size=x.shape[-2:], mode='bilinear', align_corners=head.align_corners
        )
        logits = logits[..., : images.shape[1], : images.shape[2]]
        return logits.argmax(1), logits


class ClassifierGraph(Graph):
    """Scores (N, classes)."""

    task = 'classifier'
    outputs = ('scores',)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.model(self.input(images), mode='tensor').softmax(1),)
