"""Compares an ONNX file, run by onnxruntime, with the toolbox's own prediction in torch."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import mmcv
import numpy as np
import onnxruntime
import torch

from mmcednet.inference.predict import Predictor

from .onnx_file import INPUT

SCALES = (1.0, 0.75, 0.5)
MIN_SIZE = 64  # pixels
BOX_TOLERANCE = 0.1  # pixels
SCORE_TOLERANCE = 1e-3
MASK_TOLERANCE = 0.01
Result = TypeVar('Result')


@dataclass
class Difference:
    """Largest differences between two predictions.

    Attributes:
        boxes: Largest difference of box coordinates, in pixels.
        scores: Largest difference of scores; for segmenters, of logits.
        masks: Share of the pixels of an image's masks that only one of the predictions has.
        unmatched: Number of detections that only one of the predictions has.
        compared: Number of detections, or of images without boxes, that were compared.
        seconds: Time of torch and of onnxruntime, of each image.
    """

    boxes: float = 0.0
    scores: float = 0.0
    masks: float = 0.0
    unmatched: int = 0
    compared: int = 0
    seconds: list[tuple[float, float]] = field(default_factory=list)

    def __add__(self, other: 'Difference') -> 'Difference':
        return Difference(
            max(self.boxes, other.boxes),
            max(self.scores, other.scores),
            max(self.masks, other.masks),
            self.unmatched + other.unmatched,
            self.compared + other.compared,
            self.seconds + other.seconds,
        )

    @property
    def is_small(self) -> bool:
        """Whether rounding explains it."""
        return (
            self.boxes <= BOX_TOLERANCE
            and self.scores <= SCORE_TOLERANCE
            and self.masks <= MASK_TOLERANCE
            and self.unmatched == 0
        )


def compare(
    path: Path, predictor: Predictor, metadata: dict[str, Any], images: Sequence[np.ndarray]
) -> Difference:
    """Run images, each in three sizes, through torch and onnxruntime.

    Args:
        path: ONNX file.
        predictor: The model in torch.
        metadata: The file's metadata.
        images: (H, W, 3), uint8, BGR.

    Raises:
        ValueError: No detections were found, so that nothing was compared.
    """
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    total = Difference()
    for image in iter_sizes(images, metadata):
        given = image if metadata['color'] == 'bgr' else image[..., ::-1]
        inputs = {INPUT: np.ascontiguousarray(given)[None]}
        sample, torch_seconds = measure(partial(predict_in_torch, predictor, image))
        outputs, onnx_seconds = measure(partial(session.run, None, inputs))
        found = dict(zip((output.name for output in session.get_outputs()), (x[0] for x in outputs)))
        total += COMPARE[metadata['task']](found, sample, metadata)
        total.seconds.append((torch_seconds, onnx_seconds))
    if not total.compared:
        raise ValueError(
            'nothing was detected in the pictures of --check, so that nothing could be compared; '
            'choose pictures like those that the model was trained on'
        )
    return total


def measure(function: Callable[[], Result]) -> tuple[Result, float]:
    """Run a function twice; return its result and the shorter time, in seconds."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def iter_sizes(images: Sequence[np.ndarray], metadata: dict[str, Any]) -> Iterator[np.ndarray]:
    """Each image at the scale of the test, and at three quarters and half of it.

    Images fit into the window of a segmenter that is tested in windows: there, both predict at once.
    """
    limits = [step['scale'] for step in metadata['pipeline'] if step['type'] == 'Resize']
    if 'windows' in metadata:
        limits = [metadata['windows']['size']]
    for image in images:
        limit = limits[-1] if limits else image.shape[1::-1]
        for scale in SCALES:
            size = tuple(max(MIN_SIZE, round(length * scale)) for length in limit)
            yield mmcv.imrescale(image, size)


def predict_in_torch(predictor: Predictor, image: np.ndarray) -> Any:
    """The toolbox's sample of an image (H, W, 3) in BGR, without the test pipeline's resizing."""
    size = image.shape[:2]
    metainfo = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    sample = SAMPLES[predictor.task](metainfo)
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    data = dict(inputs=[pixels], data_samples=[sample])
    with torch.no_grad():
        return predictor.inferencer.model.test_step(data)[0]


def new_detection_sample(metainfo: dict[str, Any]) -> Any:
    from mmdet.structures import DetDataSample

    return DetDataSample(metainfo=metainfo)


def new_segmentation_sample(metainfo: dict[str, Any]) -> Any:
    from mmseg.structures import SegDataSample

    return SegDataSample(metainfo=metainfo)


def new_classification_sample(metainfo: dict[str, Any]) -> Any:
    from mmpretrain.structures import DataSample

    return DataSample(metainfo=metainfo)


SAMPLES = dict(
    detector=new_detection_sample,
    segmenter=new_segmentation_sample,
    classifier=new_classification_sample,
)


def compare_detections(
    found: dict[str, np.ndarray], sample: Any, metadata: dict[str, Any]
) -> Difference:
    """Match each detection with the nearest one of the same class and score.

    Those that are as uncertain as the lowest score may be missing on one side: rounding decides.
    """
    expected = sample.pred_instances.numpy()
    exists = found['scores'] > 0
    found = {name: output[exists] for name, output in found.items()}
    sides = [
        (found['boxes'], found['scores'], found['labels']),
        (expected.bboxes, expected.scores, expected.labels),
    ]
    lowest = max((scores.min() for _, scores, _ in sides if len(scores)), default=0.0)
    total = Difference()
    pairs = set()  # of our detection and theirs
    for ours, theirs in (sides, sides[::-1]):
        for index, (box, score, label) in enumerate(zip(*ours)):
            same = (theirs[2] == label) & (np.abs(theirs[1] - score) <= SCORE_TOLERANCE)
            if not same.any():
                total.unmatched += bool(score > lowest + SCORE_TOLERANCE)
                continue
            distances = np.where(same, np.abs(theirs[0] - box).max(1), np.inf)
            nearest = int(distances.argmin())
            scores = float(abs(theirs[1][nearest] - score))
            total += Difference(float(distances[nearest]), scores, compared=1)
            pairs.add((index, nearest) if ours is sides[0] else (nearest, index))
    if 'masks' in found:
        total.masks = compare_masks(found, expected.masks, pairs, float(metadata['mask_threshold']))
    return total


def compare_masks(
    found: dict[str, np.ndarray], expected: np.ndarray, pairs: set[tuple[int, int]], threshold: float
) -> float:
    """The share of the masks' pixels that only one of the predictions has.

    Args:
        found: 'boxes' (n, 4) and 'masks' (n, S, S), the probabilities in the boxes.
        expected: Masks (m, H, W) of mmdet.
        pairs: Indices of the same object in both.
        threshold: Probability from which on a pixel belongs to the object.
    """
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    different = total = 0
    for ours, theirs in pairs:
        mask, box = (torch.from_numpy(found[name][ours][None]) for name in ('masks', 'boxes'))
        pasted, _ = _do_paste_mask(mask[None], box, *expected.shape[1:], skip_empty=False)
        pixels = pasted[0].numpy() >= threshold
        different += np.count_nonzero(pixels != expected[theirs])
        total += np.count_nonzero(pixels | expected[theirs])
    return different / max(total, 1)


def compare_logits(found: dict[str, np.ndarray], sample: Any, metadata: dict[str, Any]) -> Difference:
    expected = sample.seg_logits.data.numpy()
    return Difference(scores=float(np.abs(found['logits'] - expected).max()), compared=1)


def compare_scores(found: dict[str, np.ndarray], sample: Any, metadata: dict[str, Any]) -> Difference:
    expected = sample.pred_score.numpy()
    return Difference(scores=float(np.abs(found['scores'] - expected).max()), compared=1)


COMPARE = dict(detector=compare_detections, segmenter=compare_logits, classifier=compare_scores)
