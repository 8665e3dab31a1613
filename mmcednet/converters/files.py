"""Files of checkpoints that other code published, converted into ours."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mmcednet.checkpoints.safe_loading import load_file
from mmcednet.files import atomic_write
from mmcednet.models.pretrained import get_state_dict


def convert_file(
    source: Path, target: Path, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> int:
    """Convert a checkpoint that other code published.

    Args:
        source: The checkpoint.
        target: File to write, with the weights under 'state_dict'.
        convert: Renames the weights.

    Returns:
        Number of tensors.

    Raises:
        ValueError: ``source`` does not exist or may run code, or ``convert`` refuses it.
    """
    if not source.is_file():
        raise ValueError(f'the checkpoint {source} does not exist')
    converted = convert(get_state_dict(load_file(source, 'cpu')))
    with atomic_write(target) as temporary:
        torch.save(dict(state_dict=converted), temporary)
    return len(converted)
