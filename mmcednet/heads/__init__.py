"""Heads of the paper's other detectors that MMDetection lacks. They need it, so configs import them."""

from .gfocal import GFocalHead

__all__ = ['GFocalHead']
