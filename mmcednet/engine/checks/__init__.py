"""Checks before a run starts; each raises a ValueError of one sentence."""

from .checkpoint import check_checkpoint
from .data import check_data
from .features import check_levels
from .segmentation import check_segmentation

__all__ = ['check_checkpoint', 'check_data', 'check_levels', 'check_segmentation']
