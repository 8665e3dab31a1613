"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain.

Importing it registers the models, datasets, transforms and optimizer constructors with mmengine.
"""

from .requirements import check_requirements

check_requirements()

from . import data, models, optim  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'data', 'models', 'optim']
