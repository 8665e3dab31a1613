"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain.

Importing it registers the models, datasets, transforms, optimizer constructors and the reader of
safetensors files with mmengine.
"""

from .requirements import check_requirements

check_requirements()

from . import data, models, optim  # noqa: E402
from .engine import fsdp, safetensors_reader  # noqa: E402, F401
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'data', 'models', 'optim']
