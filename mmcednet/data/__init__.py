"""Data sets and transforms of the recipes, and generated data sets."""

from .copy_paste import BoxCopyPaste, PairedDataset

__all__ = ['BoxCopyPaste', 'PairedDataset']
