"""Selection of boxes with shapes that do not depend on their values, as an exported graph needs."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcednet.config_files import get_type

from .operators import flatten_level, nms

Size = tuple[int, int]  # height and width of the images, without padding


def predict_dense(
    head: Any, features: Sequence[Tensor], cfg: Any, size: Size
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an anchor head and decode its best candidates of each level.

    Args:
        head: RetinaHead or RPNHead of mmdet.
        features: (N, C, H, W) of each level.
        cfg: Its test config.
        size: Height and width to which boxes are clipped.

    Returns:
        Boxes (N, K, 4), scores (N, K) and class labels (N, K) of ``nms_pre`` candidates per level;
        where there are fewer anchors, the score is 0.
    """
    logits, deltas = head(features)
    sizes = [x.shape[-2:] for x in logits]
    anchors = head.prior_generator.grid_priors(sizes, device=logits[0].device)
    levels = []
    for level, level_deltas, level_anchors in zip(logits, deltas, anchors):
        rows = flatten_level(level, head.cls_out_channels), flatten_level(level_deltas, 4)
        levels.append(pick_candidates(*rows, level_anchors, head, cfg.nms_pre))
    scores, labels, found_deltas, found_anchors = (torch.cat(parts, dim=1) for parts in zip(*levels))
    boxes = head.bbox_coder.decode(
        found_anchors.flatten(0, 1), found_deltas.flatten(0, 1), max_shape=size
    ).view(*scores.shape, 4)
    large = (boxes[..., 2:] - boxes[..., :2] > cfg.get('min_bbox_size', -1)).all(-1)
    return boxes, scores * large, labels


def pick_candidates(
    logits: Tensor, deltas: Tensor, anchors: Tensor, head: Any, number: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best pairs of anchor and class of a level.

    Args:
        logits: (N, A, classes), with a class for the background if the head has a softmax.
        deltas: (N, A, 4).
        anchors: (A, 4).
        head: The head.
        number: How many.

    Returns:
        Scores (N, number), labels, deltas and anchors (N, number, 4).
    """
    scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]
    classes = scores.shape[-1]
    # padded, so that topk has a fixed number even if the level has fewer anchors
    best, index = F.pad(scores.flatten(1), (0, number)).topk(number)
    index = index * (best > 0)
    anchor, label = index // classes, index % classes
    found = deltas.gather(1, anchor[..., None].expand(-1, -1, 4))
    return best, label, found, anchors[anchor]


def suppress(boxes: Tensor, scores: Tensor, cfg: Any, score_threshold: float) -> Tensor:
    """Set to 0 the scores of the boxes that non-maximum suppression removes.

    Args:
        boxes: (B, K, 4).
        scores: (B, C, K).
        cfg: Its config, with ``iou_threshold``.
        score_threshold: Scores up to this one become 0 too.

    Returns:
        Scores (B, C, K).
    """
    kept = nms(boxes, scores, cfg.iou_threshold, max(score_threshold, 0.0))
    first, second, third = kept.unbind(1)
    index = (first * scores.shape[1] + second) * scores.shape[2] + third
    flat = scores.flatten()
    return (flat * torch.zeros_like(flat).index_fill(0, index, 1.0)).view_as(scores)


def take_best(scores: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best of (N, C, K) scores: scores, labels and indices in K, each (N, number).

    Rows beyond the positive scores have the score 0 and the label -1.
    """
    size = scores.shape[-1]
    flat = scores.flatten(1)
    missing = max(0, number - flat.shape[1])
    best, index = F.pad(flat, (0, missing)).topk(number)
    found = best > 0
    return best, torch.where(found, index // size, -1), index % size * found


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows (N, M, D) of (N, K, D)."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


def clear_missing(boxes: Tensor, scores: Tensor) -> Tensor:
    """Set boxes (N, M, 4) with the score 0 to zeros."""
    return boxes * (scores > 0)[..., None]


def check_nms(cfg: Any) -> None:
    """Check that a non-maximum suppression is the plain one of each class.

    Raises:
        ValueError: It is another one.
    """
    if get_type(cfg) not in ('', 'nms') or cfg.get('class_agnostic'):
        raise ValueError(
            f"the test config's nms {dict(cfg)} cannot be exported; use dict(type='nms', "
            'iou_threshold=...)'
        )


def check_activation(head: Any) -> None:
    """Check that a head's scores are the softmax or the sigmoid of its classes.

    Raises:
        ValueError: Its loss computes them, as SeesawLoss does.
    """
    loss = getattr(head, 'loss_cls', None)
    if getattr(loss, 'custom_activation', False):
        raise ValueError(
            f'{type(head).__name__} with {type(loss).__name__}, which computes scores in its own way, '
            f'cannot be exported'
        )
