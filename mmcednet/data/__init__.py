"""Datasets and transforms of the recipes; conversion to COCO's format; the generated shapes."""

from .copy_paste import BoxCopyPaste, PairedDataset
from .image_errors import NamedImageErrors
from .jitter import LargeScaleJitter, RasterizePolygons
from .label_values import MapLabels

__all__ = [
    'BoxCopyPaste',
    'LargeScaleJitter',
    'MapLabels',
    'NamedImageErrors',
    'PairedDataset',
    'RasterizePolygons',
]
