"""The network. Needs torch and mmengine, nothing else."""

from .arch import ARCHS
from .cednet import CEDNet
from .cls_head import CEDNetClsHead
from .compilation import compile_blocks
from .execution import apply_recompute, use_kernels
from .fuse import fuse

__all__ = [
    'ARCHS',
    'CEDNet',
    'CEDNetClsHead',
    'apply_recompute',
    'compile_blocks',
    'fuse',
    'use_kernels',
]
