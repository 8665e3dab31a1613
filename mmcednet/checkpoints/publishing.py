"""Publishing of checkpoints: their weights and what describes them, without training state."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from mmcednet.files import atomic_write
from mmcednet.models.pretrained import BACKBONE, get_state_dict
from mmcednet.version import __version__

from .loading import load_checkpoint
from .safetensors_reader import META_KEY

SUFFIXES = ('.safetensors', '.pth')
META = ('cfg', 'dataset_meta', 'epoch', 'iter')  # what is kept of the meta data that mmengine saves
HASH_LENGTH = 8


def publish(checkpoint: str, out: Path, backbone_only: bool = False) -> Path:
    """Write the weights of a checkpoint, with its config and classes, and without training state.

    Args:
        checkpoint: As for :func:`serialize`.
        out: File to write, with one of ``SUFFIXES``.
        backbone_only: Leave out the weights of the heads. Default: False.

    Returns:
        The written file: the beginning of its SHA-256 is added to the name of ``out``.

    Raises:
        ValueError: As for :func:`serialize`.
        FileNotFoundError: The checkpoint does not exist.
    """
    check_suffix(out)
    content = serialize(checkpoint, out.suffix, backbone_only)
    digest = hashlib.sha256(content).hexdigest()[:HASH_LENGTH]
    target = out.with_name(f'{out.stem}-{digest}{out.suffix}')
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
    return target


def check_suffix(out: Path) -> None:
    """Raise a ValueError if the name of a file to write does not end in one of ``SUFFIXES``."""
    if out.suffix not in SUFFIXES:
        raise ValueError(f'{out} must end in one of: {", ".join(SUFFIXES)}')


def serialize(checkpoint: str, suffix: str, backbone_only: bool) -> bytes:
    """The content of a published file.

    If the checkpoint has a moving average, its weights are taken, which are those that a test uses.

    Args:
        checkpoint: File, or another address that mmengine's loader accepts.
        suffix: One of ``SUFFIXES``.
        backbone_only: Leave out the weights of the heads.

    Raises:
        ValueError: The checkpoint is damaged or contains no weights, or none of a backbone if only
            those are wanted.
        FileNotFoundError: The checkpoint does not exist.
    """
    loaded = load_checkpoint(checkpoint)
    weights = {
        key: value.clone(memory_format=torch.contiguous_format)  # safetensors has no other layout
        for key, value in get_state_dict(loaded).items()
        if key.startswith(BACKBONE) or not backbone_only
    }
    if not weights:
        part = f' named {BACKBONE}*' if backbone_only else ''
        raise ValueError(f'{checkpoint} contains no weights{part}')
    found = loaded.get('meta') or {}
    meta = {key: found[key] for key in META if key in found}
    meta['mmcednet_version'] = __version__
    if suffix == '.safetensors':
        # one entry only: the order of several is random, and with it the hash
        return save(weights, {META_KEY: json.dumps(meta, default=to_json)})
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    return buffer.getvalue()


def to_json(value: object) -> Any:
    """Convert what ``json`` cannot write but meta data of datasets may have: arrays, scalars, sets.

    Raises:
        ValueError: ``value`` is something else.
    """
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    raise ValueError(
        f"the checkpoint's meta data has a {type(value).__name__}, which a safetensors file cannot "
        'contain; write a .pth file'
    )
