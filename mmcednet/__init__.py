"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain.

Importing it registers the models, datasets, transforms, optimizer constructors, train loops, hooks, the
FSDP strategy and the reader of safetensors files with mmengine.
"""

from contextlib import suppress

from .requirements import check_requirements

check_requirements()

from . import baselines, checkpoints, data, models, optim, training  # noqa: E402
from .inference.model import load  # noqa: E402
from .models import CEDNet  # noqa: E402
from .version import __version__  # noqa: E402

# mmengine has its FSDP strategy only for the releases of torch that it knows
with suppress(ImportError):
    from .launch import fsdp  # noqa: F401

__all__ = [
    'CEDNet',
    '__version__',
    'baselines',
    'checkpoints',
    'data',
    'load',
    'models',
    'optim',
    'training',
]
