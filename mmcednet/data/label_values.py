"""Label maps whose values are not the indices of their classes."""

from collections.abc import Sequence

import numpy as np
from mmengine.registry import TRANSFORMS

IGNORED = 255  # mmseg's ignore_index


@TRANSFORMS.register_module()
class MapLabels:
    """Replaces the values of a label map by the indices of their classes, after ``LoadAnnotations``.

    For masks that are drawn as 0 and 255: ``values=(0, 255)``. Values that are not listed are ignored.

    Args:
        values: The value of each class, in the order of the classes, 0 to 255.
        ignored: The values besides 255 that the label maps may have although they are no class; the
            check before a training refuses others. Default: none.

    Raises:
        ValueError: A value is not 0 to 255, or is listed twice.
    """

    def __init__(self, values: Sequence[int], ignored: Sequence[int] = ()) -> None:
        listed = (*values, *ignored)
        if len(set(listed)) < len(listed) or not all(0 <= value <= 255 for value in listed):
            raise ValueError(f'the values {listed} must be different numbers from 0 to 255')
        self.values, self.ignored = tuple(values), tuple(ignored)
        self.indices = np.full(256, IGNORED, np.uint8)
        self.indices[list(values)] = np.arange(len(values))

    def __call__(self, results: dict) -> dict:
        """Map the label maps of a sample, uint8; a sample without label maps stays as it is."""
        for key in results.get('seg_fields', ()):
            results[key] = self.indices[results[key]]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(values={self.values}, ignored={self.ignored})'
