"""A metric that mmdet lacks, and how pycocotools is called; needs mmdet, so configs import it."""

from .crowded import CrowdedCocoMetric

__all__ = ['CrowdedCocoMetric']
