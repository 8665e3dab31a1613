"""Files of checkpoints that other code published, converted into ours."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.files import atomic_write
from mmcednet.models.pretrained import get_state_dict

SUFFIXES = ('.pth', '.pt')


def convert_file(
    source: Path, target: Path, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> int:
    """Convert a checkpoint that other code published; call ``refuse_code`` first.

    Args:
        source: The checkpoint.
        target: File to write, with one of ``SUFFIXES`` and the weights under 'state_dict'.
        convert: Renames the weights.

    Returns:
        Number of tensors.

    Raises:
        ValueError: ``source`` does not exist, is damaged, may run code or has no weights that this
            project uses, ``target`` is a folder or has another suffix, or ``convert`` refuses the
            weights.
        OSError: ``target`` cannot be written.
    """
    if not source.is_file():
        raise ValueError(f'the checkpoint {source} does not exist')
    if target.is_dir():
        raise ValueError(f'{target} is a folder; name the file to write')
    if target.suffix not in SUFFIXES:
        raise ValueError(f'{target} must end in one of: {", ".join(SUFFIXES)}')
    loaded = load_checkpoint(str(source))
    weights = get_state_dict(loaded)
    if not weights:
        keys = ', '.join(repr(key) for key in list(loaded)[:5]) or 'none'
        raise ValueError(
            f"{source} has no weights under 'state_dict' or 'model' or at its top level (its keys: "
            f"{keys}); save those that are to be converted under 'state_dict'"
        )
    converted = convert(weights)
    if not converted:
        raise ValueError(
            f'{source} has only weights that this project does not use, such as {next(iter(weights))}'
        )
    with atomic_write(target) as temporary:
        torch.save(dict(state_dict=converted), temporary)
    return len(converted)
