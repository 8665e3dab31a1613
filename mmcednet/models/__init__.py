"""The network. Needs torch and mmengine, nothing else."""

from .cednet import ARCHS, CEDNet

__all__ = ['ARCHS', 'CEDNet']
