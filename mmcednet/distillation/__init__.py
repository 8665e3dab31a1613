"""Distillation: CEDNet learns the features of a pre-trained network from images without labels."""

from .model import FeatureDistillation

__all__ = ['FeatureDistillation']
