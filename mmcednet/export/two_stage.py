"""Mask R-CNN, Cascade Mask R-CNN and their variants without masks as graphs."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from .boxes import (
    Size,
    check_activation,
    check_nms,
    clear_missing,
    gather_rows,
    predict_dense,
    suppress,
    take_best,
)
from .graphs import Graph

# Image and box where RoIAlign finds nothing; not of size 0, for which OpenVINO computes NaN
OUTSIDE = (0.0, -1e4, -1e4, -1e4 + 1, -1e4 + 1)

PARTS = (
    'RPNHead',
    'SingleRoIExtractor',
    'RoIAlign',
    'ConvFCBBoxHead',
    'Shared2FCBBoxHead',
    'Shared4Conv1FCBBoxHead',
    'FCNMaskHead',
)


class TwoStageGraph(Graph):
    """Boxes (N, M, 4) in pixels, scores (N, M), labels (N, M); M is ``max_per_img`` of the R-CNN."""

    task = 'detector'
    outputs: ClassVar[tuple[str, ...]] = ('boxes', 'scores', 'labels')

    @staticmethod
    def check(model: Any) -> None:
        for part in (model.rpn_head, *list_parts(model.roi_head)):
            check_activation(part)
            name = type(part).__name__
            if name not in PARTS:
                raise ValueError(
                    f'{type(model).__name__} with {name} cannot be exported; its parts may be: '
                    f'{", ".join(PARTS)}'
                )
        check_nms(model.test_cfg.rpn.nms)
        check_nms(model.test_cfg.rcnn.nms)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        size = images.shape[1], images.shape[2]
        return self.detect(self.model.extract_feat(self.input(images)), size)

    def detect(self, features: Sequence[Tensor], size: Size) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of images of a size."""
        cfg = self.model.test_cfg
        proposals, valid = self.propose(features, size)
        boxes, scores = self.refine(features, proposals, size)
        kept = suppress(
            boxes.flatten(0, 1),
            (scores * valid[:, None]).flatten(0, 1)[:, None],
            cfg.rcnn.nms,
            cfg.rcnn.score_thr,
        ).view_as(scores)
        best, label, index = take_best(kept, cfg.rcnn.max_per_img)
        row = label.clamp(min=0) * scores.shape[-1] + index
        return clear_missing(gather_rows(boxes.flatten(1, 2), row), best), best, label

    def propose(self, features: Sequence[Tensor], size: Size) -> tuple[Tensor, Tensor]:
        """Proposals (N, P, 4) of the region proposal network, and which of them exist (N, P)."""
        cfg = self.model.test_cfg.rpn
        boxes, scores, _ = predict_dense(self.model.rpn_head, features, cfg, size)
        number, levels = cfg.nms_pre, len(features)
        level = torch.arange(levels * number, device=scores.device) // number
        of_level = (level == torch.arange(levels, device=scores.device)[:, None]) * scores[:, None]
        kept = suppress(boxes, of_level, cfg.nms, 0.0)
        best, _, index = take_best(kept, cfg.max_per_img)
        return clear_missing(gather_rows(boxes, index), best), best > 0

    def refine(
        self, features: Sequence[Tensor], proposals: Tensor, size: Size
    ) -> tuple[Tensor, Tensor]:
        """Boxes (N, classes, P, 4) and scores (N, classes, P) of proposals (N, P, 4)."""
        roi_head = self.model.roi_head
        rois = to_rois(proposals)
        logits, deltas = roi_head.bbox_head(extract(roi_head.bbox_roi_extractor, features, rois))
        return decode(roi_head.bbox_head, proposals, logits, deltas, size)


class CascadeGraph(TwoStageGraph):
    """A two-stage detector with several box heads, each of which refines the boxes of the last."""

    def refine(
        self, features: Sequence[Tensor], proposals: Tensor, size: Size
    ) -> tuple[Tensor, Tensor]:
        roi_head = self.model.roi_head
        boxes, total = proposals, torch.zeros(())
        for stage, (extractor, head) in enumerate(zip(roi_head.bbox_roi_extractor, roi_head.bbox_head)):
            logits, deltas = head(extract(extractor, features, to_rois(boxes)))
            total = total + logits
            if stage < roi_head.num_stages - 1:
                label = logits[:, :-1].argmax(1)
                refined = head.regress_by_class(
                    boxes.flatten(0, 1), label, deltas, dict(img_shape=size)
                )
                boxes = refined.view_as(proposals)
        return decode(head, boxes, total / roi_head.num_stages, deltas, size)


class MaskGraph(TwoStageGraph):
    """Mask R-CNN: also masks (N, M, S, S), the probability of the object within its box."""

    outputs = ('boxes', 'scores', 'labels', 'masks')

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        size = images.shape[1], images.shape[2]
        features = self.model.extract_feat(self.input(images))
        boxes, scores, labels = self.detect(features, size)
        return boxes, scores, labels, self.predict_masks(features, boxes, labels)

    def predict_masks(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Masks (N, M, S, S) of boxes (N, M, 4)."""
        roi_head = self.model.roi_head
        rois = to_rois(boxes)
        masks = compute_masks(
            roi_head.mask_head, extract(roi_head.mask_roi_extractor, features, rois), labels
        )
        return masks.view(*labels.shape, *masks.shape[-2:])


class CascadeMaskGraph(CascadeGraph, MaskGraph):
    """Cascade Mask R-CNN: the masks are the mean of those of the stages."""

    def predict_masks(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        roi_head = self.model.roi_head
        rois = to_rois(boxes)
        stages = zip(roi_head.mask_roi_extractor, roi_head.mask_head)
        masks = sum(
            compute_masks(head, extract(extractor, features, rois), labels)
            for extractor, head in stages
        )
        masks = masks / roi_head.num_stages
        return masks.view(*labels.shape, *masks.shape[-2:])


def list_parts(roi_head: Any) -> Iterator[nn.Module]:
    """The heads and RoI extractors of an R-CNN, of all its stages, and the layers of the extractors."""
    names = ['bbox_roi_extractor', 'bbox_head']
    if roi_head.with_mask:
        names += ['mask_roi_extractor', 'mask_head']
    for name in names:
        part = getattr(roi_head, name)
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            yield module
            yield from getattr(module, 'roi_layers', ())


def to_rois(boxes: Tensor) -> Tensor:
    """Boxes (N, P, 4) -> (N * P, 5), the first column of which is the index of the image."""
    image = torch.arange(boxes.shape[0], device=boxes.device)[:, None, None]
    image = image.expand(-1, boxes.shape[1], 1).to(boxes.dtype)
    return torch.cat([image, boxes], dim=-1).flatten(0, 1)


def extract(extractor: Any, features: Sequence[Tensor], rois: Tensor) -> Tensor:
    """Features (R, C, S, S) of rois (R, 5), each from the level that mmdet's extractor chooses.

    Every level processes all rois, so that no shape depends on values; those of other levels, and empty
    ones, are moved outside of the images, where RoIAlign is 0 and costs little.
    """
    used = features[: extractor.num_inputs]
    levels = extractor.map_roi_levels(rois, len(used))
    outside = rois.new_tensor(OUTSIDE)
    exists = (rois[:, 3:] > rois[:, 1:3]).all(1)
    parts = []
    for level, (layer, feature) in enumerate(zip(extractor.roi_layers, used)):
        chosen = torch.where((exists & (levels == level))[:, None], rois, outside)
        settings = layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned
        parts.append(roi_align(feature, chosen, *settings))
    return sum(parts[1:], parts[0])


def decode(
    head: Any, proposals: Tensor, logits: Tensor, deltas: Tensor, size: Size
) -> tuple[Tensor, Tensor]:
    """Decode a box head's output.

    Args:
        head: BBoxHead of mmdet.
        proposals: (N, P, 4).
        logits: (N * P, classes + 1).
        deltas: (N * P, 4 * classes), or (N * P, 4) for all classes.
        size: Height and width to which boxes are clipped.

    Returns:
        Boxes (N, classes, P, 4) and scores (N, classes, P).
    """
    n, number = proposals.shape[:2]
    scores = logits.softmax(-1)[:, :-1].view(n, number, -1).transpose(1, 2)
    kinds = 1 if head.reg_class_agnostic else head.num_classes
    priors = proposals[:, :, None].expand(-1, -1, kinds, -1)
    boxes = head.bbox_coder.decode(priors.reshape(-1, 4), deltas.reshape(-1, 4), max_shape=size)
    boxes = boxes.view(n, number, kinds, 4).transpose(1, 2)
    return boxes.expand(-1, head.num_classes, -1, -1), scores


def compute_masks(head: Any, features: Tensor, labels: Tensor) -> Tensor:
    """Probabilities (R, S, S) of the mask head for the labels (N, M)."""
    masks = head(features)
    if head.class_agnostic:
        return masks[:, 0].sigmoid()
    label = labels.flatten().clamp(min=0)[:, None, None, None]
    return masks.gather(1, label.expand(-1, 1, *masks.shape[-2:]))[:, 0].sigmoid()
