"""Parts of detectors that MMDetection lacks. They need it, so configs import them."""

from .gfocal import GFocalHead
from .matching import Float32HungarianAssigner

__all__ = ['Float32HungarianAssigner', 'GFocalHead']
