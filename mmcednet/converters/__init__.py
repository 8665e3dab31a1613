"""Checkpoints of the authors' released code and of the other networks, converted into ours.

Weights of a CEDNet are also selected from a ConvNeXt.

The released code (github.com/zhanggang001/CEDNet) has three modules: 'det' for detection, 'seg' for
segmentation and 'cls' for classification, each with a class ``CEDNet`` and wrappers around it.
"""

from .official_cednet import convert_state_dict

__all__ = ['convert_state_dict']
