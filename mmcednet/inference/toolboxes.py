"""Toolboxes imported for a prediction: without another one that the prediction does not need."""

import sys
from importlib import import_module
from importlib.util import find_spec

UNNEEDED = 'mmpretrain'  # which mmdet imports if it is installed, for its re-identification models


def import_toolbox(scope: str | None) -> None:
    """Import the toolbox of a config, for a command that predicts and then ends; saves a second.

    mmdet, which mmseg imports, comes as if mmpretrain were not installed. Later imports of mmpretrain
    find it.

    Args:
        scope: The config's default scope; nothing happens if it is no installed toolbox.
    """
    if scope not in ('mmdet', 'mmseg') or find_spec(scope) is None or UNNEEDED in sys.modules:
        return
    sys.modules[UNNEEDED] = None  # type: ignore[assignment]  # imports raise an ImportError
    try:
        for part in ('apis', 'datasets', 'models'):
            import_module(f'{scope}.{part}')
    finally:
        del sys.modules[UNNEEDED]
