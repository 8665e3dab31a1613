"""The networks that the paper compares CEDNet with and that no toolbox has, one per file.

They need torch, mmengine and the layers of :mod:`mmcednet.models`, nothing else, and are written from
their papers. Published checkpoints load after ``tools/model_converters/peers.py``.
"""

from .revcol import RevCol

__all__ = ['RevCol']
