"""Transforms of the recipes, and the generated data sets."""

from .copy_paste import BoxCopyPaste, PairedDataset

__all__ = ['BoxCopyPaste', 'PairedDataset']
