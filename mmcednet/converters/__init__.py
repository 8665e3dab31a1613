"""Conversion of the authors' released checkpoints.

The released code (github.com/zhanggang001/CEDNet) has three modules: 'det' for detection, 'seg' for
segmentation and 'cls' for classification, each with a class ``CEDNet`` and wrappers around it.
"""

from .official_cednet import convert_state_dict

__all__ = ['convert_state_dict']
