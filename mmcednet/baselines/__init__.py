"""The networks that the paper compares CEDNet with and that no toolbox has, and the neck BiFPN.

They need torch, mmengine and the layers of :mod:`mmcednet.models`, nothing else, and are written from
their papers. Published checkpoints load after ``tools/model_converters/baselines.py``.
"""

from .bifpn import BiFPN
from .cbnet import CBNet
from .cswin import CSWin
from .focal_transformer import FocalTransformer
from .giraffedet import GeneralizedFPN, SpaceToDepthChain
from .normed_levels import NormedLevels
from .revcol import RevCol
from .spinenet import SpineNet

__all__ = [
    'BiFPN',
    'CBNet',
    'CSWin',
    'FocalTransformer',
    'GeneralizedFPN',
    'NormedLevels',
    'RevCol',
    'SpaceToDepthChain',
    'SpineNet',
]
