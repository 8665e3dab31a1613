"""Safetensors files as checkpoints of mmengine."""

import json
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError, safe_open

META_KEY = 'meta'  # of the header, whose values are strings: JSON


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a safetensors file as mmengine reads a checkpoint.

    It is registered with mmengine's ``CheckpointLoader``, so that ``init_cfg``, ``load_from`` and the
    toolboxes' inferencers read such files, too. mmengine logs the function's name without the ten
    letters of 'load_from_'.

    Args:
        filename: The file; one of other software, such as timm, has weights only.
        map_location: Ignored; the tensors are on the CPU.

    Returns:
        'state_dict' and 'meta', which is empty in files that :func:`publish` has not written.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a safetensors file.
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(f'{filename} does not exist')
    try:
        with safe_open(filename, framework='pt') as file:
            keys = file.keys()
            weights = {key: file.get_tensor(key) for key in keys}
            header = (file.metadata() or {}).get(META_KEY, '')
    except SafetensorError as error:
        raise ValueError(f'{filename} is damaged or not a safetensors file: {error}') from None
    return dict(meta=parse_meta(header), state_dict=weights)


def parse_meta(header: str) -> dict[str, Any]:
    """Parse the meta data; empty if other software has written something else there."""
    try:
        meta = json.loads(header)
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}
