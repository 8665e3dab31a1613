"""The network. Needs torch and mmengine, nothing else."""

from . import peers
from .bifpn import BiFPN
from .cednet import ARCHS, CEDNet
from .cls_head import CEDNetClsHead
from .compilation import compile_blocks
from .fuse import fuse

__all__ = ['ARCHS', 'BiFPN', 'CEDNet', 'CEDNetClsHead', 'compile_blocks', 'fuse', 'peers']
