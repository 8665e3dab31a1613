"""Conversion of the authors' released configs and checkpoints.

The released code (github.com/zhanggang001/CEDNet) has three modules: 'det' for detection, 'seg' for
segmentation and 'cls' for classification, each with a class ``CEDNet`` and wrappers around it.
"""

from .checkpoints import convert_state_dict
from .configs import convert_backbone_config, convert_classifier_config

__all__ = ['convert_backbone_config', 'convert_classifier_config', 'convert_state_dict']
