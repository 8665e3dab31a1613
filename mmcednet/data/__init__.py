"""Datasets and transforms of the recipes, and generated datasets."""

from .copy_paste import BoxCopyPaste, PairedDataset

__all__ = ['BoxCopyPaste', 'PairedDataset']
