"""The settings of ``--cfg-options``, of which those that would change nothing are named."""

import difflib
import inspect
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

# What mmengine and the tools read from a config, beside the arguments of a Runner
OTHERS = (
    *('activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'find_unused_parameters'),
    *('model_wrapper_cfg', 'runner_type', 'shown_metrics', 'strategy', 'sync_bn', 'tta_model'),
    *('tta_pipeline', 'tta_test_cfg'),
)
LATE = ('custom_imports', 'max_epochs', 'max_iters')  # were used when the file was read


def apply_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Set what ``--cfg-options`` has, in place.

    A variable of the file, of which other settings were made when it was read, changes nothing by now;
    the log says so, as a hook of one's own may read it.

    Args:
        cfg: The config.
        options: Values by dotted name.

    Raises:
        ValueError: A name is neither a setting nor in the config, or was used when the file was read.
    """
    settings = {*inspect.signature(Runner).parameters, *OTHERS} - {'cfg'}
    for name, value in options.items():
        key = name.partition('.')[0]
        if key in settings or f'train_cfg.{key}' in options:
            continue
        if key in LATE:
            raise ValueError(
                f'--cfg-options {name}={value} would change nothing, as {key} was used when the file '
                f'was read; change it in the file'
            )
        if key not in cfg:
            close = difflib.get_close_matches(key, [*settings, *cfg], 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            raise ValueError(f'--cfg-options {name}={value}: a config has no setting {key}{hint}')
        print_log(
            f'--cfg-options {name}={value} changes no setting that was made of {key} when the file was '
            f'read: change it in the file, or set what uses it',
            'current',
            logging.WARNING,
        )
    cfg.merge_from_dict(dict(options))
