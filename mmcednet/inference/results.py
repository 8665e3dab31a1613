"""Predictions for one image, in numpy arrays."""

import io
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mmcednet.files import atomic_write

if TYPE_CHECKING:
    from .predict import Predictor, Segmenter


class Result:
    """What a model predicts for an image; a notebook shows it as the drawn picture."""

    def __init__(
        self,
        predictor: 'Predictor',
        image: np.ndarray,
        sample: Any,
        draw: Callable[[np.ndarray, Any], np.ndarray],
    ) -> None:
        """
        Args:
            predictor: The model.
            image: (H, W, 3), uint8, BGR.
            sample: The toolbox's sample.
            draw: Draws the sample into an RGB image.
        """
        self.predictor = predictor
        self.image = image
        self.sample = sample
        self._draw = draw

    def draw(self, out: str | Path | None = None) -> Image.Image:
        """Draw the prediction into the image.

        Args:
            out: File to write, such as 'out.png' or 'out.jpg'. Default: none.

        Raises:
            ValueError: The suffix of ``out`` is not that of an image format.
        """
        drawn = Image.fromarray(self._draw(np.ascontiguousarray(self.image[..., ::-1]), self.sample))
        if out is not None:
            with atomic_write(Path(out)) as temporary:
                drawn.save(temporary)
        return drawn

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.draw().save(content, 'png')
        return content.getvalue()


class Detections(Result):
    """Objects that a detector has found, N of them."""

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4), float32: left, top, right, bottom in pixels."""
        from .predict import get_boxes  # needs mmcv, which plain PyTorch does without

        return get_boxes(self.sample.pred_instances).numpy()

    @cached_property
    def scores(self) -> np.ndarray:
        """(N,), float32, from 0 to 1."""
        return self.sample.pred_instances.scores.numpy()

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,), integers: indices into the classes of the model."""
        return self.sample.pred_instances.labels.numpy()

    @cached_property
    def names(self) -> list[str]:
        """The N classes by their names."""
        return [self.predictor.get_class_name(label) for label in self.labels.tolist()]

    @cached_property
    def masks(self) -> np.ndarray | None:
        """(N, H, W), bool; None if the model predicts boxes only."""
        instances = self.sample.pred_instances
        return np.asarray(instances.masks, bool) if 'masks' in instances else None

    def to_coco(self, image_id: int | str = 1) -> list[dict]:
        """The detections in COCO's results format, which pycocotools evaluates.

        Args:
            image_id: Id of the image in the annotation file. Default: 1.

        Returns:
            For each detection the ``bbox`` (x, y, width, height), ``score``, ``category_id``,
            ``category`` (the class's name), and if there are masks the ``segmentation`` as RLE.
        """
        return [dict(image_id=image_id, **entry) for entry in self.predictor.describe(self.sample)]

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        counts = ', '.join(f'{number} {name}' for name, number in Counter(self.names).most_common())
        return f'<Detections: {counts or "none"}>'


class Segmentation(Result):
    """The classes of an image's pixels."""

    predictor: 'Segmenter'

    @cached_property
    def label_map(self) -> np.ndarray:
        """(H, W), integers: for each pixel an index into the classes of the model."""
        return self.predictor.get_label_map(self.sample)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each class in the image, by its name, largest first."""
        return self.predictor.describe(self.sample)[0]['classes']

    def __repr__(self) -> str:
        return f'<Segmentation: {", ".join(f"{name} {x:.0%}" for name, x in self.shares.items())}>'


class Classification(Result):
    """The scores of an image's classes."""

    @cached_property
    def scores(self) -> np.ndarray:
        """(C,), float32, from 0 to 1, in the order of the classes of the model."""
        return self.sample.pred_score.numpy()

    @property
    def label(self) -> int:
        """The class with the highest score: an index into the classes of the model."""
        return int(self.scores.argmax())

    @property
    def name(self) -> str:
        """The name of that class."""
        return self.predictor.get_class_name(self.label)

    def __repr__(self) -> str:
        return f'<Classification: {self.name} {self.scores[self.label]:.2f}>'


RESULTS: dict[str, type[Detections | Segmentation | Classification]] = {
    'detector': Detections,
    'segmenter': Segmentation,
    'classifier': Classification,
}
