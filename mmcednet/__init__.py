"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain.

Importing it registers the backbone, the transforms and the optimiser's constructor with mmengine.
"""

from .requirements import check_requirements

check_requirements()

from . import data, models, optim  # noqa: E402, F401

__version__ = '0.1.0'
