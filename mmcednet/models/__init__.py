"""The network. Needs torch and mmengine, nothing else."""

from .cednet import ARCHS, CEDNet
from .cls_head import CEDNetClsHead
from .compilation import compile_blocks
from .fuse import fuse

__all__ = ['ARCHS', 'CEDNet', 'CEDNetClsHead', 'compile_blocks', 'fuse']
