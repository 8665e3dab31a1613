"""Metrics that MMDetection lacks. They need it, so configs import them."""

from .crowded import CrowdedCocoMetric

__all__ = ['CrowdedCocoMetric']
