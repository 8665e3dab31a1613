"""Pre-flight checks: each raises a ValueError of one sentence before the run starts."""

from .checkpoint import check_checkpoint, check_pretrained, check_resumable
from .data import check_data
from .features import check_features
from .segmentation import check_segmentation

__all__ = [
    'check_checkpoint',
    'check_data',
    'check_features',
    'check_pretrained',
    'check_resumable',
    'check_segmentation',
]
