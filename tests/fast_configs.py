"""Takes from mmengine's configs what costs most of a short training; on import, in each process."""

import functools

from mmengine.config import utils as config_utils
from yapf.yapflib import yapf_api

# To find a config of a toolbox, mmengine reads all metafiles of it, 0.2 s for each that is inherited.
# The files are kept, not what is found in them: configs in _base_ are in no metafile, an error
config_utils.load = functools.cache(config_utils.load)
# Configs are formatted for the log, the work dir and every checkpoint: 0.4 s each
yapf_api.FormatCode = lambda text, **settings: (text, False)
