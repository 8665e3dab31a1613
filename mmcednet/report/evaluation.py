"""What a report says of a model, whatever its kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# Of an image: 'img_path', 'score' from 0, the worst, to 1, 'note', a sentence, and its predictions
Record = dict[str, Any]


@dataclass
class Evaluation:
    """What a model finds, and what not.

    Attributes:
        table: Title of a column -> its value for each class; the first one has the names.
        confusion: (true, predicted): numbers of objects, pixels or images.
        labels: Names of its rows and columns: the classes, and for detectors 'none'.
        note: What the confusion counts.
        curves: Class -> recall and precision for falling scores; empty for segmenters.
        worst: The images, the worst first.
    """

    table: dict[str, list[Any]]
    confusion: np.ndarray
    labels: list[str]
    note: str
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    worst: list[Record] = field(default_factory=list)


class Task(Protocol):
    """A kind of model. Its methods get the metainfo of the dataset, with the classes."""

    def record(self, sample: Any, metainfo: Mapping[str, Any]) -> Record:
        """Keep of an image's prediction what a report needs, on the CPU."""

    def evaluate(
        self, records: Sequence[Record], metainfo: Mapping[str, Any], metrics: Sequence[Any]
    ) -> Evaluation:
        """Evaluate the records of all images; ``metrics`` are those of the evaluator."""

    def draw(
        self, record: Record, image: np.ndarray, metainfo: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Draw truth and prediction; return title -> picture (H, W, 3), RGB."""


def divide(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Shares; nan where the whole is 0."""
    shares = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
