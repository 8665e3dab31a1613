"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain.

Importing it registers the models, datasets, transforms, optimizer constructors, train loops, hooks, the
FSDP strategy and the reader of safetensors files with mmengine.
"""

from contextlib import suppress

from .requirements import check_requirements

check_requirements()

from . import baselines, data, models, optim, training  # noqa: E402
from .engine import safetensors_reader  # noqa: E402, F401
from .version import __version__  # noqa: E402

with suppress(
    ImportError
):  # mmengine has its FSDP strategy only for the releases of torch that it knows
    from .engine import fsdp  # noqa: F401

__all__ = ['__version__', 'baselines', 'data', 'models', 'optim', 'training']
