"""Datasets and transforms of the recipes, and generated datasets."""

from .copy_paste import BoxCopyPaste, PairedDataset
from .jitter import LargeScaleJitter, RasterizePolygons

__all__ = ['BoxCopyPaste', 'LargeScaleJitter', 'PairedDataset', 'RasterizePolygons']
