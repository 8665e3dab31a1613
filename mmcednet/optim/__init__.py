"""Layer-wise learning-rate decay."""

from .layer_decay import ConvNeXtOptimWrapperConstructor, LayerDecayOptimWrapperConstructor

__all__ = ['ConvNeXtOptimWrapperConstructor', 'LayerDecayOptimWrapperConstructor']
