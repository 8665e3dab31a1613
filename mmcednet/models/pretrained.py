"""Loads the backbone's weights from any checkpoint that holds them, and says what was found."""

from collections.abc import Iterable

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

BACKBONE = 'backbone.'


def load_pretrained(module: nn.Module, checkpoint: str, prefix: str | None = None) -> None:
    """Load what ``checkpoint`` holds of ``module``'s parameters and buffers, and log the rest.

    Args:
        module: The backbone.
        checkpoint: File, URL or other address that mmengine's loader takes, with the weights at the
            top or under 'state_dict' or 'model'.
        prefix: Which part of the checkpoint is the backbone. Default: 'backbone.' where there are
            such keys, otherwise none.

    Raises:
        ValueError: The checkpoint holds none of the weights, or holds one of another shape.
    """
    source = state_dict_of(CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu'))
    source = {key.removeprefix('module.'): value for key, value in source.items()}
    if prefix is None:
        prefix = BACKBONE if any(key.startswith(BACKBONE) for key in source) else ''
    elif not prefix.endswith('.'):
        prefix += '.'
    part = {key.removeprefix(prefix): value for key, value in source.items() if key.startswith(prefix)}
    target = module.state_dict()
    found = {key: value for key, value in part.items() if key in target}
    if not found:
        raise ValueError(
            f'{checkpoint} holds no weight of {type(module).__name__} (its first keys: '
            f"{', '.join(list(source)[:3])}); the authors' own files go through "
            f'tools/model_converters/official_cednet.py first'
        )
    for key, value in found.items():
        if value.shape != target[key].shape:
            raise ValueError(
                f'{checkpoint} is of another size: its {prefix}{key} is {tuple(value.shape)}, '
                f'the model needs {tuple(target[key].shape)}'
            )
    module.load_state_dict(found, strict=False)
    missing = sorted(target.keys() - found.keys())
    print_log(f'Loaded {len(found)} of {len(target)} tensors from {checkpoint}', 'current')
    if missing:
        print_log(f'Not found there, initialised afresh: {summary(missing)}', 'current')
    unused = sorted(part.keys() - found.keys())
    if unused:
        print_log(f'There, but of no use here: {summary(unused)}', 'current')


def state_dict_of(checkpoint: dict) -> dict[str, Tensor]:
    """The weights of a loaded checkpoint, which may wrap them."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    return {key: value for key, value in checkpoint.items() if isinstance(value, torch.Tensor)}


def summary(keys: Iterable[str]) -> str:
    """Count keys by their first three parts: 'pyramid.extras.0.* (4), ...'."""
    counts: dict[str, int] = {}
    for key in keys:
        group = '.'.join(key.split('.')[:3])
        counts[group] = counts.get(group, 0) + 1
    return ', '.join(f'{group}.* ({n})' if n > 1 else group for group, n in counts.items())
